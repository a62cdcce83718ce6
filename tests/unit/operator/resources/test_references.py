"""ConfigMaps whose content pods read once."""

from tests.unit.operator.make import Json, resource, typed

from hipbmm_operator.resources.references import config_maps


def test_config_json_and_variables_are_read_once_and_volumes_change_in_place() -> None:
    variables = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "k"}}}]
    server: Json = {"name": "server", "envFrom": [{"configMapRef": {"name": "many"}}, {"secretRef": {"name": "s"}}]}
    volumes = [{"name": "x", "configMap": {"name": "mounted"}}]
    spec = {
        "model": {"name": "m", "configMapRef": {"name": "config"}},
        "server": {"env": [*variables, {"name": "B", "value": "1"}]},
        "podTemplate": {"spec": {"containers": [server], "volumes": volumes}},
    }
    assert config_maps(typed(resource(spec))) == ("config", "many", "one")
    assert config_maps(typed(resource())) == ()

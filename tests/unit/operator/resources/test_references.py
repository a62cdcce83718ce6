"""ConfigMaps and Secrets whose content pods read once."""

from tests.unit.operator.make import Json, resource, typed

from hipbmm_operator.kube.kinds import CONFIG_MAP, SECRET
from hipbmm_operator.resources.references import given, lacking, names


def test_config_json_and_variables_are_read_once_and_volumes_change_in_place() -> None:
    variables = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "k"}}}]
    server: Json = {"name": "server", "envFrom": [{"configMapRef": {"name": "many"}}, {"secretRef": {"name": "s"}}]}
    volumes = [{"name": "x", "configMap": {"name": "mounted"}}]
    spec = {
        "model": {"name": "m", "configMapRef": {"name": "config"}},
        "server": {"env": [*variables, {"name": "B", "value": "1"}]},
        "podTemplate": {"spec": {"containers": [server], "volumes": volumes}},
    }
    found = names(typed(resource(spec)))
    assert [name for kind, name in found if kind == CONFIG_MAP] == ["config", "many", "one"]
    assert names(typed(resource())) == ()


def test_secrets_of_variables_and_the_token() -> None:
    variables = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "one", "key": "k"}}}]
    server: Json = {"name": "server", "envFrom": [{"secretRef": {"name": "many"}}, {"configMapRef": {"name": "c"}}]}
    volumes = [{"name": "x", "secret": {"secretName": "mounted"}}]
    spec = {
        "model": {"name": "m", "tokenSecretRef": {"name": "hf"}},
        "imagePullSecrets": [{"name": "pull"}],
        "server": {"env": variables},
        "podTemplate": {"spec": {"containers": [server], "volumes": volumes}},
    }
    found = names(typed(resource(spec)))
    assert [name for kind, name in found if kind == SECRET] == ["hf", "many", "one"]


def test_what_no_pod_starts_without() -> None:
    def one(name: str, **more: object) -> Json:
        return {"name": name.upper(), "valueFrom": {"configMapKeyRef": {"name": name, "key": "k", **more}}}

    spec = typed(resource({"server": {"env": [one("a"), one("b", optional=True)]}}))
    a, b = (CONFIG_MAP, "a"), (CONFIG_MAP, "b")
    assert not lacking(spec, {a: ("k",), b: ()})
    assert lacking(spec, {a: (), b: ("k",)})
    assert lacking(spec, {a: ("other",), b: ("k",)})
    assert not lacking(spec, {}), "nothing was read"


def test_an_empty_object_lacks_nothing() -> None:
    """Of `envFrom`: pods start with no variable from it, and not without it."""
    server: Json = {"name": "server", "envFrom": [{"configMapRef": {"name": "c"}}]}
    spec = typed(resource({"podTemplate": {"spec": {"containers": [server]}}}))
    assert not lacking(spec, {(CONFIG_MAP, "c"): ()})
    assert lacking(spec, {(CONFIG_MAP, "c"): None})
    assert given(spec, {(CONFIG_MAP, "c"): None}) == frozenset()

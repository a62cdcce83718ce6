"""The asynchronous client of the package `kubernetes`, without its synchronous one.

The package's own `__init__` imports the synchronous client with requests, oauthlib and websocket, 7 MiB that nothing
here uses, so it does not run: https://github.com/kubernetes-client/python/issues/771
"""

import sys
from importlib.util import find_spec, module_from_spec

if "kubernetes" not in sys.modules and (_spec := find_spec("kubernetes")) is not None:
    sys.modules["kubernetes"] = module_from_spec(_spec)

from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_incluster_config, load_kube_config

__all__ = ["ApiClient", "Configuration", "RESTClientObject", "load_incluster_config", "load_kube_config"]

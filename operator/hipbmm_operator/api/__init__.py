"""The custom resource as pydantic models: the source of the CRD's schema and the only parser of its objects."""

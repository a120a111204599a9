"""The bodies of requests, as pydantic reads them and OpenAPI describes them."""

"""The gateway's HTTP side: the instances API, its rules of admission, its errors and texts."""

from services.gateway.http.app import create_app

__all__ = ["create_app"]

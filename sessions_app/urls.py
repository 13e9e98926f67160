"""URLs of the hub surface."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

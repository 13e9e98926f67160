"""Every URL of the hub; each room brings its own."""

from django.contrib import admin
from django.contrib.staticfiles.storage import staticfiles_storage
from django.urls import include, path
from django.views.generic import RedirectView

from realtime.asyncapi import asyncapi
from tghub.docs import DocsView, RedocView, SchemaView

admin.site.site_header = admin.site.site_title = "tghub"
admin.site.index_title = "The hub"

urlpatterns = [
    # Before Django's admin: `POST /admin/restore-sessions` is one of the hub's own.
    path("", include("sessions_app.urls")),
    path("", include("sessions_app.stateless.urls")),
    path("api/v3/", include("sessions_app.messages.urls")),
    path("", include("scraper.urls")),
    path("api/v3/webhooks", include("realtime.webhooks.urls")),
    path("admin/", admin.site.urls),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/asyncapi", asyncapi, name="asyncapi"),
    path("docs", DocsView.as_view(url_name="schema"), name="docs"),
    path(
        "favicon.ico",
        RedirectView.as_view(url=staticfiles_storage.url("tghub/favicon.svg"), permanent=True),
    ),
    path("redoc", RedocView.as_view(url_name="schema"), name="redoc"),
]

handler400 = "core.errors.bad_request"
handler403 = "core.errors.permission_denied"
handler404 = "core.errors.page_not_found"
handler500 = "core.errors.server_error"

"""URLs of the hub surface."""

from django.urls import path

from core.health import health
from sessions_app import views
from sessions_app.moving.views import ExportView, ImportView

urlpatterns = [
    path("", views.RootView.as_view(), name="root"),
    path("health", health, name="health"),
    path("login/start", views.LoginStartView.as_view(), name="login-start"),
    path("login/code", views.LoginCodeView.as_view(), name="login-code"),
    path("login/password", views.LoginPasswordView.as_view(), name="login-password"),
    path("login/resend", views.LoginResendView.as_view(), name="login-resend"),
    path("login/cancel", views.LoginCancelView.as_view(), name="login-cancel"),
    path("logout", views.LogoutView.as_view(), name="logout"),
    path("sessions", views.SessionListView.as_view(), name="session-list"),
    path("session/import", ImportView.as_view(), name="session-import"),
    path("session/<str:session_id>/export", ExportView.as_view(), name="session-export"),
    path("session/<str:session_id>", views.SessionView.as_view(), name="session"),
    path(
        "session/<str:session_id>/status",
        views.SessionStatusView.as_view(),
        name="session-status",
    ),
    path(
        "session/<str:session_id>/reconnect",
        views.SessionReconnectView.as_view(),
        name="session-reconnect",
    ),
    path("message/send", views.MessageSendView.as_view(), name="message-send"),
    path("admin/restore-sessions", views.RestoreSessionsView.as_view(), name="restore-sessions"),
    path("api/v3/me", views.MeView.as_view(), name="me"),
]

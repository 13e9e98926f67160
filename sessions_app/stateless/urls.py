"""URLs of the stateless surface."""

from django.urls import path

from sessions_app.stateless import views

urlpatterns = [
    path("auth/send_code", views.SendCodeView.as_view(), name="stateless-send-code"),
    path("auth/verify_code", views.VerifyCodeView.as_view(), name="stateless-verify-code"),
    path(
        "auth/verify_password",
        views.VerifyPasswordView.as_view(),
        name="stateless-verify-password",
    ),
    path("auth/2fa", views.TwoFactorView.as_view(), name="stateless-2fa"),
    path("auth/logout", views.LogoutView.as_view(), name="stateless-logout"),
    path("chats", views.ChatsView.as_view(), name="stateless-chats"),
    path("messages/", views.MessagesView.as_view(), name="stateless-messages"),
    path("messages/send", views.SendView.as_view(), name="stateless-send"),
    path("messages/send_with_file", views.SendWithFileView.as_view(), name="stateless-send-file"),
    path("messages/edit", views.EditView.as_view(), name="stateless-edit"),
    path("messages/forward", views.ForwardView.as_view(), name="stateless-forward"),
    path("messages/delete", views.DeleteView.as_view(), name="stateless-delete"),
    path("messages/media/<int:message_id>", views.MediaView.as_view(), name="stateless-media"),
    path("groups/join", views.JoinView.as_view(), name="stateless-join"),
]

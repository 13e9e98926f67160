"""URLs of messaging on stored sessions, below `/api/v3/`."""

from django.urls import path

from sessions_app.messages import views

urlpatterns = [
    path("messages/send", views.StoredSendView.as_view(), name="v3-send"),
    path("messages/send_with_file", views.StoredSendWithFileView.as_view(), name="v3-send-file"),
    path("messages/edit", views.StoredEditView.as_view(), name="v3-edit"),
    path("messages/forward", views.StoredForwardView.as_view(), name="v3-forward"),
    path("messages/delete", views.StoredDeleteView.as_view(), name="v3-delete"),
    path("messages/react", views.StoredReactView.as_view(), name="v3-react"),
    path("messages/pin", views.StoredPinView.as_view(), name="v3-pin"),
    path("messages/unpin", views.StoredUnpinView.as_view(), name="v3-unpin"),
    path("messages/read", views.StoredReadView.as_view(), name="v3-read"),
    path("messages/typing", views.StoredTypingView.as_view(), name="v3-typing"),
    path("messages/limits", views.StoredLimitsView.as_view(), name="v3-limits"),
    path("groups/join", views.StoredJoinView.as_view(), name="v3-join"),
    path("groups/leave", views.StoredLeaveView.as_view(), name="v3-leave"),
    path("groups/members", views.StoredMembersView.as_view(), name="v3-members"),
    path("groups/invite_links", views.StoredInviteLinksView.as_view(), name="v3-invite-links"),
]

"""URLs of webhooks, mounted at `/api/v3/webhooks`."""

from django.urls import path

from realtime.webhooks import views

urlpatterns = [
    path("", views.WebhookListView.as_view(), name="webhook-list"),
    path("/<int:webhook_id>", views.WebhookView.as_view(), name="webhook"),
    path("/<int:webhook_id>/test", views.WebhookTestView.as_view(), name="webhook-test"),
    path(
        "/<int:webhook_id>/rotate-secret",
        views.WebhookRotateSecretView.as_view(),
        name="webhook-rotate-secret",
    ),
    path(
        "/<int:webhook_id>/deliveries", views.DeliveryListView.as_view(), name="webhook-deliveries"
    ),
    path(
        "/<int:webhook_id>/deliveries/<int:delivery_id>/redeliver",
        views.RedeliverView.as_view(),
        name="webhook-redeliver",
    ),
]

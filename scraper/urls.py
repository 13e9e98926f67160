"""URLs of `/api/v3`, and the skill file for agents."""

from django.urls import URLPattern, URLResolver, include, path

from scraper import views, views_cache, views_qr, views_sync

api: list[URLPattern | URLResolver] = [
    path("auth/qr", views_qr.QrStartView.as_view(), name="qr-start"),
    # Before the token alone, which has no dot.
    path("auth/qr/<str:token>.svg", views_qr.QrSvgView.as_view(), name="qr-svg"),
    path("auth/qr/<str:token>.png", views_qr.QrPngView.as_view(), name="qr-png"),
    path("auth/qr/<str:token>", views_qr.QrLoginView.as_view(), name="qr-login"),
    path("auth/qr/<str:token>/2fa", views_qr.QrPasswordView.as_view(), name="qr-password"),
    path("search/dialogs", views.DialogSearchView.as_view(), name="search-dialogs"),
    path("search/messages", views.MessageSearchView.as_view(), name="search-messages"),
    path(
        "search/messages/<path:dialog_id>",
        views.DialogMessageSearchView.as_view(),
        name="search-dialog-messages",
    ),
    path("search/cache", views_cache.CacheSearchView.as_view(), name="search-cache"),
    path("export/<path:dialog_id>", views_cache.ExportView.as_view(), name="export"),
    path("cache/<path:dialog_id>", views_cache.CacheView.as_view(), name="cache"),
    path("folders", views.FolderListView.as_view(), name="folders"),
    path("settings", views.SettingsView.as_view(), name="settings"),
    path("sync/<path:dialog_id>", views_sync.SyncView.as_view(), name="sync"),
    path("coverage/<path:dialog_id>", views_sync.CoverageView.as_view(), name="coverage"),
    path("jobs", views_sync.JobListView.as_view(), name="jobs"),
    path("jobs/<int:job_id>", views_sync.JobView.as_view(), name="job"),
    path("jobs/<int:job_id>/pause", views_sync.JobPauseView.as_view(), name="job-pause"),
    path("jobs/<int:job_id>/resume", views_sync.JobResumeView.as_view(), name="job-resume"),
    path("jobs/<int:job_id>/cancel", views_sync.JobCancelView.as_view(), name="job-cancel"),
    path("settings.yaml", views.SettingsFileView.as_view(), name="settings-file"),
]

urlpatterns = [
    path("api/v3/", include(api)),
    path("skill.md", views.SkillView.as_view(), name="skill"),
]

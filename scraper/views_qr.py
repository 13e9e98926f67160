"""Logging in by QR code: `/api/v3/auth/qr`."""

import io
from typing import Any

import qrcode
import qrcode.image.pure
import qrcode.image.svg
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from core.errors import Conflict
from core.validation import validated
from scraper import qr, serializers
from scraper.base import USER, CallerView, refusals, responses
from scraper.qr import QrView
from scraper.qr_models import QrStatus

SCAN = "Scan the QR code in Telegram: Settings → Devices → Link Desktop Device."
MESSAGES = {
    QrStatus.PENDING: SCAN,
    QrStatus.PASSWORD_REQUIRED: "Two-factor authentication is enabled: send the password.",
    QrStatus.SUCCESS: "Logged in.",
    QrStatus.EXPIRED: "The QR login has expired; start a new one.",
    QrStatus.ERROR: "The login failed; start a new one.",
}


def shown(view: QrView) -> dict[str, Any]:
    login = view.login
    message = MESSAGES[QrStatus(login.status)]
    if login.status == QrStatus.PASSWORD_REQUIRED and login.hint:
        message += f" Hint: {login.hint}"
    return {
        "status": login.status,
        "username": login.name,
        "qr_url": view.url,
        "error": (login.error or "failed") if login.status == QrStatus.ERROR else None,
        "message": message,
    }


class QrStartView(CallerView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["qr login"],
        parameters=[USER],
        request=serializers.StartQrInput,
        responses=responses(serializers.QrStartedOutput, 400, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Begin a login by QR code; poll its status until the code is scanned."""
        body = validated(serializers.StartQrInput, request.data)
        token, view = qr.start(
            self.caller, name=body["username"], username=self.username, force=body["force"]
        )
        self.audit("login.qr_started", body["username"], force=body["force"])
        return Response({"token": token, "qr_url": view.url, "message": SCAN})


class QrLoginView(CallerView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["qr login"], responses=responses(serializers.QrStatusOutput, 404, 409, 502)
    )
    def get(self, request: Request, token: str) -> Response:
        """Tell where the login stands; the code in `qr_url` is renewed about every 25 seconds."""
        return Response(shown(qr.look(qr.find(self.caller, token))))

    @extend_schema(tags=["qr login"], responses=responses(serializers.QrCancelledOutput, 404, 409))
    def delete(self, request: Request, token: str) -> Response:
        """Cancel the login; its token is unknown from then on."""
        login = qr.find(self.caller, token)
        qr.cancel(login)
        self.audit("login.qr_cancelled", login.name)
        return Response({"status": "cancelled"})


class QrPasswordView(CallerView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["qr login"],
        request=serializers.QrPasswordInput,
        responses=responses(serializers.QrStatusOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request, token: str) -> Response:
        """Finish the login of an account with a cloud password."""
        login = qr.find(self.caller, token)
        body = validated(serializers.QrPasswordInput, request.data)
        return Response(shown(qr.submit_password(login, password=body["password"])))


class _QrImageView(CallerView):
    required_scope = Scope.SESSIONS.value
    content_type = ""

    def draw(self, text: str) -> bytes:
        raise NotImplementedError

    def answer(self, token: str) -> HttpResponse:
        view = qr.look(qr.find(self.caller, token))
        if view.url is None:
            raise Conflict(f"There is no code to show: {view.status}.", code="qr_not_pending")
        headers = {"Cache-Control": "no-store"}
        return HttpResponse(self.draw(view.url), content_type=self.content_type, headers=headers)


class QrSvgView(_QrImageView):
    content_type = "image/svg+xml"

    def draw(self, text: str) -> bytes:
        image = qrcode.make(text, image_factory=qrcode.image.svg.SvgPathFillImage)
        return bytes(image.to_string(encoding="utf-8", xml_declaration=True))

    @extend_schema(
        tags=["qr login"],
        responses={
            **refusals(404, 409, 502),
            (200, "image/svg+xml"): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request, token: str) -> HttpResponse:
        """Draw the present code as SVG."""
        return self.answer(token)


class QrPngView(_QrImageView):
    content_type = "image/png"

    def draw(self, text: str) -> bytes:
        image = io.BytesIO()
        qrcode.make(text, image_factory=qrcode.image.pure.PyPNGImage).save(image)
        return image.getvalue()

    @extend_schema(
        tags=["qr login"],
        responses={
            **refusals(404, 409, 502),
            (200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request, token: str) -> HttpResponse:
        """Draw the present code as PNG."""
        return self.answer(token)

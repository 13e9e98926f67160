"""Each act as a view that knows not for whom it acts: `messenger` comes from the base view."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.json import JSONParser
from core.validation import validated
from engine.methods import groups, messages
from sessions_app.messages import messenger as acts
from sessions_app.messages import serializers
from sessions_app.messages.messenger import Messenger
from sessions_app.messages.multipart import FormParser
from sessions_app.schema import IDEMPOTENCY_KEY, responses


class Operation(APIView):
    """A view with a messenger."""

    @property
    def messenger(self) -> Messenger:
        raise NotImplementedError


class SendOperation(Operation):
    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request=serializers.SendTextInput,
        responses=responses(serializers.SentOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Send a text message."""
        body = validated(serializers.SendTextInput, request.data)
        return Response(acts.send_text(self.messenger, **body))


class SendFilesOperation(Operation):
    parser_classes = [FormParser]

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request={"multipart/form-data": serializers.SendFilesInput},
        responses=responses(serializers.SentFilesOutput, 400, 404, 409, 413, 502),
    )
    def post(self, request: Request) -> Response:
        """Send a file, or several as an album; they go to Telegram as they are read."""
        body = validated(serializers.SendFilesInput, request.data)
        return Response(acts.send_files(self.messenger, **body))


class EditOperation(Operation):
    @extend_schema(
        request=serializers.EditInput,
        responses=responses(serializers.SentOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Replace the text of a message, or the caption of a file."""
        body = validated(serializers.EditInput, request.data)
        return Response(acts.edit(self.messenger, **body))


class ForwardOperation(Operation):
    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request=serializers.ForwardInput,
        responses=responses(serializers.ForwardedOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Forward a message, or up to 100 of one chat."""
        body = validated(serializers.ForwardInput, request.data)
        return Response(acts.forward(self.messenger, **body))


class DeleteOperation(Operation):
    # What does not come as JSON stands in the query string.
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[serializers.DeleteInput],
        responses=responses(serializers.DeletedOutput, 400, 404, 502),
    )
    def delete(self, request: Request) -> Response:
        """Delete messages, for everybody or for this account alone.

        The fields may also come as a JSON body.
        """
        given = request.data or serializers.query_dict(request.query_params)
        return Response(acts.delete(self.messenger, **validated(serializers.DeleteInput, given)))


class ReactOperation(Operation):
    @extend_schema(
        request=serializers.ReactInput,
        responses=responses(serializers.SuccessOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """React to a message; without a reaction, take the account's own back."""
        body = validated(serializers.ReactInput, request.data)
        return _done(self.messenger.call(messages.send_reaction, **body))


class PinOperation(Operation):
    @extend_schema(
        request=serializers.PinInput,
        responses=responses(serializers.SuccessOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Pin a message."""
        body = validated(serializers.PinInput, request.data)
        return _done(self.messenger.call(messages.pin_message, **body))


class UnpinOperation(Operation):
    @extend_schema(
        request=serializers.UnpinInput,
        responses=responses(serializers.SuccessOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Unpin a message, or all of the chat's."""
        body = validated(serializers.UnpinInput, request.data)
        return _done(self.messenger.call(messages.unpin_message, **body))


class ReadOperation(Operation):
    @extend_schema(
        request=serializers.ReadInput,
        responses=responses(serializers.SuccessOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Mark a chat's incoming messages as read."""
        body = validated(serializers.ReadInput, request.data)
        return _done(self.messenger.call(messages.read_history, **body))


class TypingOperation(Operation):
    @extend_schema(
        request=serializers.TypingInput,
        responses=responses(serializers.SuccessOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Show for six seconds that the account is typing, or that it no longer is."""
        body = validated(serializers.TypingInput, request.data)
        return _done(self.messenger.call(messages.set_typing, **body))


class JoinOperation(Operation):
    @extend_schema(
        request=serializers.JoinInput,
        responses=responses(serializers.JoinedOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Join a public chat, or a private one by its invite."""
        body = validated(serializers.JoinInput, request.data)
        return Response(acts.join(self.messenger, body["group_identifier"]))


class LeaveOperation(Operation):
    @extend_schema(
        request=serializers.ChatInput,
        responses=responses(serializers.SuccessOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Leave a group, supergroup or channel."""
        body = validated(serializers.ChatInput, request.data)
        return _done(self.messenger.call(groups.leave, **body))


class MembersOperation(Operation):
    @extend_schema(
        parameters=[serializers.MembersQuery],
        responses=responses(serializers.MembersOutput, 400, 404, 502),
    )
    def get(self, request: Request) -> Response:
        """List a chat's members, a page at a time."""
        query = validated(serializers.MembersQuery, request.query_params)
        return Response(acts.members(self.messenger, **query))


class InviteLinksOperation(Operation):
    @extend_schema(
        parameters=[serializers.InviteLinksQuery],
        responses=responses(serializers.InviteLinksOutput, 400, 404, 502),
    )
    def get(self, request: Request) -> Response:
        """List the invite links that this account made for a chat."""
        query = validated(serializers.InviteLinksQuery, request.query_params)
        links = self.messenger.call(groups.list_invite_links, **query)
        return Response({"invite_links": links})

    @extend_schema(
        request=serializers.InviteLinkInput,
        responses=responses(serializers.InviteLinkOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Make another invite link for a chat."""
        body = validated(serializers.InviteLinkInput, request.data)
        return Response(acts.create_invite_link(self.messenger, **body))

    @extend_schema(
        parameters=[serializers.RevokeInviteInput],
        responses=responses(serializers.InviteLinkOutput, 400, 404, 502),
    )
    def delete(self, request: Request) -> Response:
        """Revoke an invite link. The fields may also come as a JSON body."""
        given = request.data or serializers.query_dict(request.query_params)
        body = validated(serializers.RevokeInviteInput, given)
        return Response(self.messenger.call(groups.revoke_invite_link, **body))


def _done(success: bool) -> Response:
    return Response({"success": success})

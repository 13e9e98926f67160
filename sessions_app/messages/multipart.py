"""Forms with files, whose files never get a name on disk.

Source: https://docs.djangoproject.com/en/5.2/ref/files/uploads/#writing-custom-upload-handlers
"""

import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from rest_framework.parsers import DataAndFiles, MultiPartParser

from core.errors import BadRequest

CHUNK_BYTES = 256 * 1024
MEMORY_BYTES = 1024 * 1024


class SpoolHandler(FileUploadHandler):
    """Keeps a file in memory, and above 1 MB in a temporary file that has no name."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.spool: IO[bytes] = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.spool.write(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[Any]":
        self.spool.seek(0)
        return UploadedFile(
            file=self.spool,
            name=self.file_name,
            content_type=self.content_type,
            size=file_size,
            charset=self.charset,
        )

    def upload_interrupted(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()


class FormParser(MultiPartParser):
    """Reads `multipart/form-data`; the files are handed over as `UploadedFile`s."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> "DataAndFiles[Any, Any]":
        assert parser_context is not None
        request = parser_context["request"]._request
        request.upload_handlers = [SpoolHandler(request)]
        result = super().parse(stream, media_type, parser_context)
        for values in result.data.lists():
            if any("\0" in str(value) for value in values[1]):
                raise BadRequest("Text must not hold NUL characters.", code="bad_form")
        return result


def chunks(file: "UploadedFile[Any]") -> Iterator[bytes]:
    """Yield a file's bytes, from the beginning."""
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk

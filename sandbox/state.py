"""Auth keys and logins kept in a file, so that a sandbox can be restarted under its clients."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.authkeys import AuthKey
from sandbox.files import write_private
from sandbox.rpc import ClientInfo
from sandbox.server import DataCentres


def save(server: DataCentres, path: Path) -> None:
    """Write every permanent key with its login, mode 0600. They open the accounts: keep it so."""
    records = []
    for key in server.keys.values():
        if key.expires_at:
            continue
        record = server.authorization(key)
        records.append(
            {
                "key": key.data.hex(),
                "dc": key.dc,
                "layer": key.layer,
                "client": asdict(key.client),
                "user_id": record.user_id,
                "hash": record.hash,
                "home": record.home,
                "refusal": record.refusal,
                "exported_to": sorted(record.exported_to),
                "date_created": record.date_created,
            }
        )
    write_private(path, json.dumps({"keys": records}).encode())


def load(server: DataCentres, path: Path) -> None:
    """Bring back what `save` wrote; users that the world no longer has are logged out."""
    if not path.exists():
        return
    for saved in json.loads(path.read_text())["keys"]:
        _restore(server, saved)


def _restore(server: DataCentres, saved: dict[str, Any]) -> None:
    key = AuthKey(bytes.fromhex(saved["key"]), saved["dc"])
    key.layer = saved["layer"]
    key.client = ClientInfo(**saved["client"])
    server.keys[key.key_id] = key
    record = server.authorization(key)
    if saved["user_id"] in server.world.users:
        server.world.log_in(record, saved["user_id"], key.client)
        record.hash = saved["hash"]
    record.home = saved["home"]
    record.refusal = saved["refusal"]
    record.exported_to = set(saved["exported_to"])
    record.date_created = saved["date_created"]

"""The proxies: Telethon goes through each, and strangers do not."""

import asyncio
import os

import pytest
from telethon.network import ConnectionTcpMTProxyIntermediate as MtIntermediate
from telethon.network import ConnectionTcpMTProxyRandomizedIntermediate as MtPadded
from telethon.tl import functions

from sandbox.proxies import HttpProxy, MtProxy, Socks5Proxy

GET_CONFIG = functions.help.GetConfigRequest()
SECRET = bytes(range(16))


@pytest.fixture
def mtproxy(sandbox):
    routes = {option.dc: (option.host, option.port) for option in sandbox.server.dc_options}
    with MtProxy(SECRET, routes) as proxy:
        yield proxy


async def test_socks5(telethon, port):
    with Socks5Proxy() as proxy:
        client = await telethon(proxy=("socks5", "127.0.0.1", proxy.port))
        assert (await client(GET_CONFIG)).this_dc == 2
        (passage,) = proxy.passages
        assert (passage.host, passage.port) == ("127.0.0.1", port)
        assert passage.up_bytes > 500 < passage.down_bytes


async def test_socks5_with_a_password(telethon):
    with Socks5Proxy("me", "secret") as proxy:
        client = await telethon(proxy=("socks5", "127.0.0.1", proxy.port, True, "me", "secret"))
        assert (await client(GET_CONFIG)).this_dc == 2
        with pytest.raises(ConnectionError):
            await telethon(
                proxy=("socks5", "127.0.0.1", proxy.port, True, "me", "wrong"),
                connection_retries=0,
                retry_delay=0,
            )
        assert (len(proxy.passages), proxy.refused) == (1, 1)


async def test_http_connect(telethon, port):
    with HttpProxy() as proxy:
        client = await telethon(proxy=("http", "127.0.0.1", proxy.port))
        assert (await client(GET_CONFIG)).this_dc == 2
        assert [passage.port for passage in proxy.passages] == [port]


async def test_http_connect_with_a_password(telethon):
    with HttpProxy("me", "secret") as proxy:
        client = await telethon(proxy=("http", "127.0.0.1", proxy.port, True, "me", "secret"))
        assert (await client(GET_CONFIG)).this_dc == 2
        with pytest.raises(ConnectionError):
            await telethon(
                proxy=("http", "127.0.0.1", proxy.port, True, "me", "wrong"),
                connection_retries=0,
                retry_delay=0,
            )
        assert proxy.refused == 1


@pytest.mark.parametrize(
    ("connection", "prefix", "variant"),
    [(MtIntermediate, "", "intermediate"), (MtPadded, "dd", "padded intermediate")],
)
async def test_mtproxy(sandbox, telethon, mtproxy, port, connection, prefix, variant):
    client = await telethon(
        connection=connection, proxy=("127.0.0.1", mtproxy.port, prefix + SECRET.hex())
    )
    assert (await client(GET_CONFIG)).this_dc == 2
    assert {passage.port for passage in mtproxy.passages} == {port}
    assert {one.framing.variant for one in sandbox.server.connections} == {variant}


async def test_mtproxy_refuses_another_secret(mtproxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", mtproxy.port)
    writer.write(os.urandom(64))
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert mtproxy.refused == 1


def test_a_secret_has_16_bytes():
    with pytest.raises(ValueError, match="16 bytes"):
        MtProxy(b"short", {})

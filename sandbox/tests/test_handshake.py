"""The key exchange: both RSA paddings, retries, and what is refused."""

import random

import pytest
from telethon.crypto import rsa
from telethon.tl import functions, types

from sandbox.handshake import random_prime
from sandbox.keys import fingerprint, load_key
from sandbox.tests.rawclient import Closed, RawClient, rsa_encrypt


@pytest.fixture
def server_key(sandbox):
    return sandbox.server.server_key


@pytest.fixture
async def client(port):
    async with RawClient(port) as client:
        yield client


@pytest.mark.parametrize("padding", ["sha1", "rsa_pad"])
@pytest.mark.parametrize("dc", [None, 2, 10_002, -2])
async def test_it_makes_a_key(sandbox, client, server_key, padding, dc):
    assert await client.make_key(server_key, padding=padding, dc=dc) == "DhGenOk"
    assert sandbox.server.keys[client.key.key_id].data == client.key.data
    assert sandbox.world.authorizations[client.key.key_id].user_id is None


async def test_pq_is_a_product_of_two_primes_below_63_bits(client):
    for request in (functions.ReqPqMultiRequest(7), functions.ReqPqRequest(7)):
        answer = await client.plain(request)
        assert answer.nonce == 7
        assert int.from_bytes(answer.pq, "big").bit_length() <= 63


def test_random_prime_is_prime():
    for _ in range(50):
        prime = random_prime()
        assert all(prime % divisor for divisor in range(2, 1000))
        assert pow(random.randrange(2, prime), prime - 1, prime) == 1


async def test_a_retry_makes_another_key(sandbox, client, server_key):
    sandbox.faults.handshake("retry", times=2)
    assert await client.make_key(server_key, retries=2) == "DhGenOk"
    assert client.key.key_id in sandbox.server.keys


async def test_a_taken_key_id_is_retried(sandbox, client, server_key):
    accept = sandbox.server.accept_key
    assert await client.make_key(server_key) == "DhGenOk"
    assert sandbox.server.run(lambda: accept(sandbox.server.keys[client.key.key_id])) is False


async def test_a_failed_exchange_can_begin_again(sandbox, client, server_key):
    sandbox.faults.handshake("fail")
    assert await client.make_key(server_key) == "DhGenFail"
    assert await client.make_key(server_key) == "DhGenOk"


async def test_telethon_repeats_a_retried_exchange(sandbox, telethon):
    sandbox.faults.handshake("retry")
    client = await telethon(retry_delay=0)
    assert client.is_connected()


async def test_wrong_factors_fail(client, server_key):
    res_pq = await client.plain(functions.ReqPqMultiRequest(5))
    inner = client.inner_data(res_pq, 99)
    inner.p, inner.q = inner.q, inner.p
    encrypted = rsa_encrypt(server_key, bytes(inner), "sha1")
    answer = await client.plain(client.req_dh_params(res_pq, server_key, encrypted))
    assert isinstance(answer, types.ServerDHParamsFail)


async def test_another_data_centre_is_refused(client, server_key):
    with pytest.raises(Closed) as closed:
        await client.make_key(server_key, dc=1)
    assert closed.value.code == 444


@pytest.mark.parametrize("padding", ["sha1", "rsa_pad"])
async def test_altered_inner_data_is_refused(client, server_key, padding):
    res_pq = await client.plain(functions.ReqPqMultiRequest(5))
    encrypted = bytearray(rsa_encrypt(server_key, bytes(client.inner_data(res_pq, 99)), padding))
    encrypted[100] ^= 1
    with pytest.raises(Closed) as closed:
        await client.plain(client.req_dh_params(res_pq, server_key, bytes(encrypted)))
    assert closed.value.code == 404


async def test_another_nonce_is_refused(client, server_key):
    res_pq = await client.plain(functions.ReqPqMultiRequest(5))
    res_pq.nonce = 6
    with pytest.raises(Closed):
        encrypted = rsa_encrypt(server_key, bytes(client.inner_data(res_pq, 99)), "sha1")
        await client.plain(client.req_dh_params(res_pq, server_key, encrypted))


async def test_a_step_may_not_be_left_out(client):
    res_pq = await client.plain(functions.ReqPqMultiRequest(5))
    with pytest.raises(Closed):
        await client.plain(functions.SetClientDHParamsRequest(5, res_pq.server_nonce, bytes(48)))


async def test_rubbish_is_refused(client):
    client.write(bytes(40))
    with pytest.raises(Closed):
        await client.read()


def test_the_fingerprint_is_telethons(server_key):
    import rsa as rsa_module

    public = rsa_module.PublicKey.load_pkcs1(server_key.public_pem)
    assert rsa._compute_fingerprint(public) == server_key.fingerprint
    assert fingerprint(public.n, public.e) == server_key.fingerprint


def test_a_key_file_keeps_the_key(tmp_path):
    path = tmp_path / "key.pem"
    first, second = load_key(path), load_key(path)
    assert first.fingerprint == second.fingerprint
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_without_an_rsa_key_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("no key")
    with pytest.raises(ValueError, match="PEM"):
        load_key(path)

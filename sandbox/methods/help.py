"""help.* and langpack.*: what a client asks before anything else.

Sources: https://core.telegram.org/api/config and the page of each method.
"""

from __future__ import annotations

import zlib
from typing import Any

from telethon.tl import functions, types

from sandbox.rpc import Call, RpcError, handles
from sandbox.world.dates import utc

APP_CONFIG: dict[str, float | str | bool] = {
    "about_length_limit_default": 70,
    "about_length_limit_premium": 140,
    "caption_length_limit_default": 1024,
    "caption_length_limit_premium": 2048,
    "channels_limit_default": 500,
    "channels_limit_premium": 1000,
    "chat_read_mark_expire_period": 604800,
    "chat_read_mark_size_threshold": 100,
    "dialog_filters_chats_limit_default": 100,
    "dialog_filters_limit_default": 10,
    "dialogs_folder_pinned_limit_default": 100,
    "dialogs_pinned_limit_default": 5,
    "forum_upgrade_participants_min": 200,
    "reactions_uniq_max": 11,
    "reactions_user_max_default": 1,
    "upload_max_fileparts_default": 4000,
    "upload_max_fileparts_premium": 8000,
}
COUNTRIES = [("US", "USA", "1"), ("GB", "United Kingdom", "44"), ("DE", "Germany", "49")]


def dc_options(call: Call) -> list[Any]:
    """TL `DcOption` of every data centre of this sandbox."""
    return [
        types.DcOption(id=one.dc, ip_address=one.host, port=one.port, static=True)
        for one in call.server.dc_options
    ]


@handles(functions.help.GetConfigRequest, anonymous=True)
async def get_config(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getConfig"""
    limits, now = call.world.limits, call.world.now()
    return types.Config(
        date=utc(now),
        expires=utc(now + 3600),
        test_mode=False,
        this_dc=call.dc,
        dc_options=dc_options(call),
        dc_txt_domain_name="",
        chat_size_max=limits.group_size,
        megagroup_size_max=limits.supergroup_size,
        forwarded_count_max=limits.forward_count,
        online_update_period_ms=210_000,
        offline_blur_timeout_ms=5000,
        offline_idle_timeout_ms=30_000,
        online_cloud_timeout_ms=300_000,
        notify_cloud_delay_ms=30_000,
        notify_default_delay_ms=1500,
        push_chat_period_ms=60_000,
        push_chat_limit=2,
        edit_time_limit=limits.edit_seconds,
        revoke_time_limit=2_147_483_647,
        revoke_pm_time_limit=2_147_483_647,
        rating_e_decay=2_419_200,
        stickers_recent_limit=200,
        channels_read_media_period=604_800,
        call_receive_timeout_ms=20_000,
        call_ring_timeout_ms=90_000,
        call_connect_timeout_ms=30_000,
        call_packet_timeout_ms=10_000,
        me_url_prefix="https://t.me/",
        caption_length_max=limits.caption_length,
        message_length_max=limits.message_length,
        webfile_dc_id=call.server.main_dc,
        default_p2p_contacts=True,
        revoke_pm_inbox=True,
        gif_search_username="gif",
        venue_search_username="foursquare",
        img_search_username="bing",
        reactions_default=types.ReactionEmoji("👍"),
    )


@handles(functions.help.GetNearestDcRequest, anonymous=True)
async def get_nearest_dc(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getNearestDc"""
    return types.NearestDc("US", call.dc, call.server.main_dc)


@handles(functions.help.GetAppConfigRequest, anonymous=True)
async def get_app_config(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getAppConfig"""
    hash_ = zlib.crc32(repr(sorted(APP_CONFIG.items())).encode()) & 0x7FFFFFFF
    if request.hash == hash_:
        return types.help.AppConfigNotModified()
    values = [types.JsonObjectValue(key, _json(value)) for key, value in APP_CONFIG.items()]
    return types.help.AppConfig(hash_, types.JsonObject(values))


def _json(value: float | str | bool) -> Any:
    if isinstance(value, bool):
        return types.JsonBool(value)
    if isinstance(value, str):
        return types.JsonString(value)
    return types.JsonNumber(float(value))


@handles(functions.help.GetCdnConfigRequest, anonymous=True)
async def get_cdn_config(call: Call, request: Any) -> Any:
    """There are no CDN data centres here. Source: https://core.telegram.org/cdn"""
    return types.CdnConfig([])


@handles(functions.help.GetInviteTextRequest)
async def get_invite_text(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getInviteText"""
    return types.help.InviteText("Let's switch to Telegram: https://telegram.org/dl")


@handles(functions.help.GetSupportRequest)
async def get_support(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getSupport"""
    users, _ = call.world.updates.describe(call.me.id, {777000})
    return types.help.Support("+42777", users[0])


@handles(functions.help.GetAppUpdateRequest, anonymous=True)
async def get_app_update(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getAppUpdate"""
    return types.help.NoAppUpdate()


@handles(functions.help.GetTermsOfServiceUpdateRequest)
async def get_terms_of_service_update(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getTermsOfServiceUpdate"""
    return types.help.TermsOfServiceUpdateEmpty(utc(call.world.now() + 86_400))


@handles(functions.help.GetPromoDataRequest)
async def get_promo_data(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getPromoData"""
    return types.help.PromoDataEmpty(utc(call.world.now() + 86_400))


@handles(functions.help.GetCountriesListRequest, anonymous=True)
async def get_countries_list(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getCountriesList"""
    hash_ = len(COUNTRIES)
    if request.hash == hash_:
        return types.help.CountriesListNotModified()
    countries = [
        types.help.Country(iso2, name, [types.help.CountryCode(code)])
        for iso2, name, code in COUNTRIES
    ]
    return types.help.CountriesList(countries, hash_)


@handles(functions.help.GetPeerColorsRequest, anonymous=True)
async def get_peer_colors(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/help.getPeerColors"""
    return types.help.PeerColors(0, [])


@handles(functions.langpack.GetLanguagesRequest, anonymous=True)
async def get_languages(call: Call, request: Any) -> list[Any]:
    """Source: https://core.telegram.org/method/langpack.getLanguages"""
    english = types.LangPackLanguage(
        "English", "English", "en", "en", 0, 0, "https://translations.telegram.org/en/"
    )
    return [english]


@handles(functions.langpack.GetLangPackRequest, anonymous=True)
async def get_lang_pack(call: Call, request: Any) -> Any:
    """Source: https://core.telegram.org/method/langpack.getLangPack"""
    if not request.lang_code:
        raise RpcError(400, "LANG_CODE_NOT_SUPPORTED")
    return types.LangPackDifference(request.lang_code, 0, 1, [])

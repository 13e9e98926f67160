"""A lively world from a seed: people, chats and what was said in them until just now.

Fixed points, the same for every seed. All of them know Demo, and all can log in:

    +15550000001  Demo, @demo_user     the account that demonstrates and tests start with
    +15550000002  Alice, @alice_m      2FA: password "correct horse battery", hint "xkcd"
    +15550000003  Bob, @bob_t          shares groups and channels with Demo
    +15550000004  Carol, @carol_j      lives on data centre 1
    +15550000005  Charlie, @charlie_o  in no private chat that the others are in
    +15550000099                       banned
    +15550000098                       no account

Chats of Demo: @world_news_daily (6 000 posts), @python_berlin (supergroup), "Project Aurora"
(private supergroup, hidden pre-history), "Makers Forum" (topics), "Family" and "Sunday Hike" (basic
groups), "Book Club" (migrated), @photo_of_the_day with its discussion group, "Team Announcements"
(private channel), "Kochrezepte" (muted), "Old Flatshare" (archived), bots, Saved Messages.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from telethon.tl import types

from sandbox.world import phrases
from sandbox.world.history import History
from sandbox.world.model import Chat, Message, User
from sandbox.world.story import DAY, HOUR, Story

if TYPE_CHECKING:
    from sandbox.world import World

DEMO_PHONE = "+15550000001"
ALICE_PASSWORD = "correct horse battery"
NEWS_POSTS = 6000


@dataclass(slots=True)
class Cast:
    """Who plays a part."""

    demo: User
    alice: User
    bob: User
    carol: User
    charlie: User
    others: list[User]


def generate(world: World) -> None:
    """Fill an empty world."""
    with world.lock:
        story = Story(world)
        cast = make_people(world, story)
        private_chats(story, cast)
        basic_groups(story, cast)
        supergroups(story, cast)
        channels(story, cast)
        story.tell()
        put_in_order(world, cast)


def make_people(world: World, story: Story) -> Cast:
    rng = world.random
    demo = world.add_user(
        "Demo", "User", phone=DEMO_PHONE, username="demo_user", about="Just trying things out 🧪"
    )
    people = []
    for number, (first, last, language) in enumerate(phrases.PEOPLE):
        main = number < 4
        username = ["alice_m", "bob_t", "carol_j", "charlie_o"][number] if main else ""
        if not main and rng.random() < 0.5:
            username = f"user_{seed_word(rng)}{number}"
        person = world.add_user(
            first,
            last,
            phone=f"+1555000000{number + 2}" if main else f"+1555010{number:04d}",
            username=username,
            language=language,
            dc=1 if username == "carol_j" else None,
            password=ALICE_PASSWORD if username == "alice_m" else "",
            hint="xkcd" if username == "alice_m" else "",
            premium=rng.random() < 0.15,
            last_seen=story.now - int(rng.expovariate(1 / (2 * DAY))),
        )
        if rng.random() < 0.6:
            person.photo = world.add_photo(
                width=640, height=640, look=number % 3, date=story.ago(300)
            )
        people.append(person)
    demo.photo = world.add_photo(width=640, height=640, look=1, date=story.ago(400))
    demo.last_seen = story.now
    world.ban_phone("+15550000099")
    alice, bob, carol, charlie, *others = people
    for number, person in enumerate(people[:18]):
        label = {4: "Mum ❤️", 7: "Dr. Weiß (dentist)"}.get(number, "")
        world.make_contact(demo, person, first_name=label, mutual=rng.random() < 0.7)
    return Cast(demo, alice, bob, carol, charlie, others)


def seed_word(rng: random.Random) -> str:
    return "".join(rng.choices("abcdefghijklmnoprstuvz", k=5))


def private_chats(story: Story, cast: Cast) -> None:
    world, rng, demo = story.world, story.random, cast.demo
    partners = [cast.alice, cast.bob, cast.carol, *cast.others[:10]]
    for number, partner in enumerate(partners):
        count = 120 if number == 0 else rng.randint(4, 45)
        start = story.ago(rng.randint(40, 400))
        story.chatter(partner, [demo, partner], count, start, story.now - rng.randint(1, 9) * HOUR)
    story.chatter(cast.bob, [cast.alice, cast.bob], 20, story.ago(90), story.ago(1))
    stranger = cast.others[20]
    story.say(story.ago(0.4), stranger, demo, "Hi! Is the bicycle still for sale? 🚲")
    video = types.PhoneCallDiscardReasonMissed()
    call = types.MessageActionPhoneCall(rng.getrandbits(62), reason=video)
    story.say(story.ago(3), cast.bob, demo, action=call)
    story.say(
        story.ago(30), world.user(777000), demo,
        "New login. Dear Demo, we detected a login into your account from a new device.",
    )  # fmt: skip
    saved_messages(story, cast)
    bots(story, cast)


def saved_messages(story: Story, cast: Cast) -> None:
    demo = cast.demo
    notes = ["Wifi at the cabin: ask Tom", "https://example.org/read-later", "milk, eggs, bread"]
    for number, note in enumerate(notes):
        story.say(story.ago(60 - 12 * number), demo, demo, note)

    def keep(when: int) -> None:
        said = story.said[story.place(demo, cast.alice)]
        story.world.forward(demo, said[3:6], demo, date=when)

    story.at(story.ago(0.2), keep)


def bots(story: Story, cast: Cast) -> None:
    world, demo = story.world, cast.demo
    weather = world.add_bot(
        "Weather Bot",
        "sandbox_weather_bot",
        description="Tells the weather of any city.",
        commands={"start": "Begin", "today": "Today's weather", "help": "What I can do"},
    )
    polls = world.add_bot("Poll Helper", "sandbox_poll_bot", description="Makes polls.")
    story.say(story.ago(20), demo, weather, "/start")
    button = types.KeyboardInlineButton("Tomorrow", types.InlineButtonTypeCallback(b"tomorrow"))
    markup = types.ReplyInlineMarkup([types.KeyboardInlineButtonRow([button])])
    story.say(story.ago(20) + 1, weather, demo, "Hello! Send me a city.", reply_markup=markup)
    story.say(story.ago(2), demo, weather, "Berlin")
    story.say(story.ago(2) + 1, weather, demo, "Berlin: 7 °C, rain ☔️", reply_markup=markup)
    story.say(story.ago(11), demo, polls, "/start")


def basic_groups(story: Story, cast: Cast) -> None:
    world, demo = story.world, cast.demo
    family = [demo, *cast.others[:3], cast.alice]
    hikers = [cast.bob, demo, cast.carol, *cast.others[4:9]]
    readers = [demo, cast.alice, *cast.others[9:13]]
    flat = [cast.others[6], demo, cast.others[7]]

    def found(title: str, people: list[User], days: float, count: int, until: float) -> None:
        def begin(when: int) -> None:
            group = world.add_group(title, people[0], people[1:], date=when)
            born[title] = group

        born: dict[str, Chat] = groups
        story.at(story.ago(days), begin)
        for date in story.times(count, story.ago(days) + HOUR, story.ago(until)):
            story.at(date, lambda when: story.turn(born[title], people, (), 0.1, when))

    groups: dict[str, Chat] = {}
    found("Family 👨‍👩‍👧", family, 380, 90, 0.05)
    found("Sunday Hike", hikers, 200, 60, 0.3)
    found("Book Club", readers, 320, 40, 41)
    found("Old Flatshare", flat, 500, 30, 250)
    gone = cast.others[8]
    story.at(story.ago(100), lambda when: world.leave(gone, groups["Sunday Hike"], date=when))

    def migrate(when: int) -> None:
        new = world.migrate_group(groups["Book Club"], date=when)
        story.chatter(new, readers, 25, when + HOUR, story.ago(0.6))

    story.at(story.ago(40), migrate)


def supergroups(story: Story, cast: Cast) -> None:
    world, demo = story.world, cast.demo
    crowd = [cast.alice, cast.bob, cast.charlie, *cast.others]
    python = world.add_channel(
        "Python Berlin 🐍", cast.bob, [*crowd, demo],
        megagroup=True, username="python_berlin", about="Meetups, jobs, questions. Be kind.",
        date=story.ago(700), extra_members=2140, photo=world.add_photo(look=2),
    )  # fmt: skip
    world.promote(python, cast.alice, by=cast.bob, rank="host")
    story.chatter(python, [*crowd, demo], 420, story.ago(300), story.now - 300, lines=phrases.TECH)

    def pin(when: int) -> None:
        rules = world.post(cast.bob, python, "Rules: be kind, no spam, no screenshots.", date=when)
        world.pin(rules, cast.bob, notify=False)

    story.at(story.ago(250), pin)
    team = [cast.alice, cast.bob, *cast.others[12:18]]
    aurora = world.add_channel(
        "Project Aurora", cast.alice, team, megagroup=True, hidden_prehistory=True,
        about="Internal.", date=story.ago(200),
    )  # fmt: skip
    story.chatter(aurora, team, 90, story.ago(199), story.ago(60), lines=phrases.PROJECT)
    story.at(story.ago(59), lambda when: world.join(demo, aurora, inviter=cast.alice, date=when))
    both = [*team, demo]
    story.chatter(aurora, both, 110, story.ago(58), story.now - 900, lines=phrases.PROJECT)
    makers = world.add_channel(
        "Makers Forum", cast.others[5], [demo, *cast.others[6:14]], megagroup=True, forum=True,
        username="makers_forum", date=story.ago(150),
    )  # fmt: skip
    for number, title in enumerate(["3D printing", "Electronics", "Wood & tools"]):
        story.at(story.ago(149 - number), partial(topic, story, makers, title))


def topic(story: Story, makers: Chat, title: str, when: int) -> None:
    opened = story.world.add_topic(makers, title, date=when)
    people = [story.world.user(one.user_id) for one in makers.participants]
    for date in story.times(15, when + HOUR, story.ago(1)):
        text = story.random.choice(phrases.TALK["en"])
        story.say(date, story.random.choice(people), makers, text, topic_id=opened.id)


def channels(story: Story, cast: Cast) -> None:
    world, demo = story.world, cast.demo
    first_uid = world.reserve_uids(NEWS_POSTS)
    news = world.add_channel(
        "World News Daily", cast.others[0], [demo, cast.alice, cast.bob, cast.charlie],
        username="world_news_daily", about="All the news, all the time.", verified=True,
        date=story.ago(900), extra_members=184_512, photo=world.add_photo(look=0),
        backlog=NEWS_POSTS,
        fill=lambda chat, history: fill_news(world, chat, history, story.now, first_uid),
    )  # fmt: skip
    world.dialog(demo.id, news.peer).read_inbox_max_id = NEWS_POSTS - 40
    talk = world.add_channel(
        "Photo of the Day Chat", cast.carol, [demo, *cast.others[14:20]], megagroup=True,
        date=story.ago(180),
    )  # fmt: skip
    photos = world.add_channel(
        "Photo of the Day", cast.carol, [demo, cast.bob, *cast.others[14:20]],
        username="photo_of_the_day", signatures=True, date=story.ago(181), extra_members=7300,
    )  # fmt: skip
    world.link_discussion(photos, talk)
    for number in range(60):
        story.at(story.ago(180 - 3 * number), lambda when: album(story, photos, cast.carol, when))
    commenters = [demo, *cast.others[14:20]]
    story.chatter(talk, commenters, 50, story.ago(170), story.ago(0.1))
    team = world.add_channel(
        "Team Announcements", cast.alice, [demo, cast.bob, *cast.others[12:16]], date=story.ago(120)
    )
    world.add_invite(team, link_hash="AbCdEfGhIjKlMnOp", permanent=True)
    for date in story.times(35, story.ago(119), story.now - 2 * HOUR):
        story.say(date, team, team, story.random.choice(phrases.PROJECT))
    recipes = world.add_channel(
        "Kochrezepte", cast.others[2], [demo, *cast.others[2:6]], username="kochrezepte_taeglich",
        date=story.ago(300), extra_members=951,
    )  # fmt: skip
    for date in story.times(80, story.ago(299), story.now - HOUR):
        story.say(date, recipes, recipes, story.random.choice(phrases.RECIPES), views=400)


def album(story: Story, channel: Chat, author: User, when: int) -> None:
    """One to three photos as one post."""
    world, rng = story.world, story.random
    count = rng.choice([1, 1, 1, 2, 3])
    group = world.random_long() if count > 1 else 0
    for number in range(count):
        photo = world.add_photo(look=rng.randrange(3), date=when)
        caption = "Today: " + rng.choice(["fog", "harbour", "first snow", "Берлин", "市場"])
        message = world.post(
            author, channel, caption if number == 0 else "", media=photo, grouped_id=group,
            date=when, views=rng.randint(500, 7000),
        )  # fmt: skip
        message.extra_reactions = {"❤": rng.randint(3, 90), "🔥": rng.randint(1, 30)}


def fill_news(world: World, chat: Chat, history: History, now: int, first_uid: int) -> None:
    """Years of news, made when somebody looks; a few ids are missing, as in any real channel."""
    rng = random.Random(f"{world.seed} news")
    date, step = chat.date, (now - 600 - chat.date) / NEWS_POSTS
    action = types.MessageActionChannelCreate(chat.title)
    opening = Message(first_uid, chat.peer, chat.peer, date, action=action, channel_id=1)
    history.append(1, opening)
    for number in range(2, NEWS_POSTS + 1):
        if number < NEWS_POSTS and rng.random() < 0.01:
            history.deleted.add(number)
            continue
        when = int(date + step * (number - 1 + rng.random() * 0.9))
        history.append(number, news_post(world, chat, rng, number, when, first_uid + number - 1))


def news_post(
    world: World, chat: Chat, rng: random.Random, number: int, when: int, uid: int
) -> Message:
    topic_name, headline = rng.choice(phrases.NEWS_TOPICS)
    figure = rng.randint(3, 9000)
    head = f"{topic_name}. "
    tail = rng.choice(phrases.NEWS_TAILS).format(n=number)
    text = head + headline.format(n=figure) + ("\n\n" + tail if tail else "")
    message = Message(uid, chat.peer, chat.peer, when, text, channel_id=number)
    message.entities = [types.MessageEntityBold(0, len(head) - 1)]
    if "https://" in tail:
        start = len(text) - len(tail) + tail.index("https://")
        message.entities.append(types.MessageEntityUrl(start, len(text) - start))
    message.views = rng.randint(20_000, 180_000)
    message.forwards = rng.randint(0, 900)
    if number % 3 == 0:
        message.extra_reactions = {
            emoji: rng.randint(1, 900) for emoji in rng.sample(phrases.REACTIONS, 3)
        }
    if number % 40 == 0:
        message.media = world.add_photo(
            look=number % 3, date=when, photo_id=(1 << 61) + uid * 8 + chat.id % 8
        )
    if number % 97 == 0:
        message.edit_date = when + 120
    return message


def put_in_order(world: World, cast: Cast) -> None:
    """Reading, archiving, muting, folders: what Demo has done with the list."""
    demo, rng = cast.demo, world.random
    for user in (demo, cast.alice, cast.bob, cast.carol, cast.charlie):
        for peer in list(user.dialogs):
            if user is demo and peer < 0 and world.chats[peer].title == "World News Daily":
                continue
            history = world.history(user.id, peer)
            behind = rng.choice([0, 0, 0, 1, 4]) if len(history) > 10 else 0
            if len(history) > behind:
                world.read(user, peer, history.ids[-1 - behind])
    titled = {chat.title: chat for chat in world.chats.values() if not chat.deactivated}
    world.archive(demo, titled["Old Flatshare"])
    world.mute(demo, titled["Kochrezepte"])
    world.mute(demo, titled["Python Berlin 🐍"], world.now() + 8 * HOUR)
    world.pin_dialog(demo, cast.alice)
    world.pin_dialog(demo, titled["Project Aurora"])
    world.add_folder(demo, "Work", [titled["Project Aurora"], titled["Team Announcements"]])
    world.add_folder(demo, "News", broadcasts=True, exclude_muted=True)
    world.add_folder(demo, "Unread", contacts=True, groups=True, exclude_read=True)
    world.set_draft(demo, cast.bob, "I'll get back to you about")
    poll = world.add_poll("Next meetup?", "Tuesday", "Thursday", extra_votes=[31, 58])
    message = world.post(cast.bob, titled["Python Berlin 🐍"], media=poll)
    world.vote(demo, message, 1)
    world.vote(cast.alice, message, 0)

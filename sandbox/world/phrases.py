"""What people in a generated world are called, and what they say."""

from __future__ import annotations

PEOPLE = [
    ("Alice", "Moreau", "en"), ("Bob", "Tanaka", "en"), ("Carol", "Jensen", "en"),
    ("Charlie", "Osei", "en"), ("Анна", "Кузнецова", "ru"), ("Дмитрий", "Волков", "ru"),
    ("Lena", "Hoffmann", "de"), ("Jürgen", "Weiß", "de"), ("María", "García Ruiz", "es"),
    ("Diego", "Fernández", "es"), ("Chloé", "Lefèvre", "fr"), ("Yuki", "佐藤", "ja"),
    ("محمد", "الحسن", "ar"), ("נועה", "לוי", "he"), ("Priya", "Sharma", "hi"),
    ("João", "Silva", "pt"), ("Олена", "Шевченко", "uk"), ("王", "小明", "zh"),
    ("Siobhán", "O'Brien", "en"), ("Zoë 🌸", "", "en"), ("Kwame", "Mensah", "en"),
    ("Ingrid", "Åkesson", "en"), ("Tom", "", "en"), ("Nadia", "Petrova", "ru"),
    ("Max", "Mustermann", "de"), ("Sofia", "Rossi", "es"), ("Ravi", "", "hi"),
    ("Emma", "Nilsen", "en"), ("Lucas", "Almeida", "pt"), ("Fatima", "Zahra", "ar"),
]  # fmt: skip

TALK = {
    "en": [
        "Are we still on for tonight?", "Running ten minutes late, sorry 🙏", "haha yes",
        "Did you see the match yesterday?", "I'll send you the photos when I'm home",
        "Can you pick up some milk on the way?", "That's brilliant 😂", "ok", "👍",
        "Let me check my calendar and get back to you.", "The meeting moved to 3pm.",
        "Here is the link: https://example.org/notes?id=42", "Happy birthday!! 🎂🎉",
        "I think we should just ship it and see what happens.", "See you at 7 then.",
        "Honestly? I have no idea.", "Could you have a look at this when you have a minute?",
        "Thanks, that fixed it.", "Good morning ☀️", "What do you think of the second draft?",
        "So I was reading about how trams came back to so many cities, and it turns out that the "
        "old tracks were often still there, just paved over.\n\nWorth a read when you have time.",
    ],
    "de": [
        "Moin! Kommst du heute?", "Bin in 10 Minuten da.", "Das Paket ist angekommen 📦",
        "Ich hab's dir per Mail geschickt, schau mal rein.", "Schöne Grüße aus München!",
        "Nee, morgen geht's leider nicht.", "Klingt gut, machen wir so.", "Na klar 😄",
        "Weißt du noch, wie das Café hieß?", "Fährt die S-Bahn heute überhaupt?",
    ],
    "ru": [
        "Привет! Как дела?", "Уже выхожу, буду через 15 минут", "Спасибо большое! ❤️",
        "Скинь, пожалуйста, документы до вечера", "Ахаха, точно 😂", "Созвонимся завтра?",
        "Я посмотрел, там всё нормально. Можно отправлять.", "С днём рождения! 🎉", "ок",
        "Погода ужасная, сижу дома с чаем ☕️",
    ],
    "es": [
        "¿Qué tal? ¿Cómo va todo?", "¡Nos vemos mañana!", "Jajaja qué bueno 😂",
        "Te mando la dirección ahora mismo.", "Vale, perfecto.", "¿Alguien sabe a qué hora abre?",
    ],
    "fr": [
        "Salut, ça va ?", "J'arrive dans cinq minutes", "Merci beaucoup 🙏", "À demain !",
        "Tu as vu le dernier épisode ? Pas de spoilers…", "C'est noté, merci.",
    ],
    "ja": ["お疲れ様です！", "了解しました👍", "明日の会議は何時からですか？",
           "ありがとうございます🙇"],
    "ar": ["السلام عليكم، كيف الحال؟", "تمام، الحمد لله 🌹", "نلتقي غدًا إن شاء الله", "شكرًا جزيلًا"],
    "he": ["מה קורה?", "סבבה, נדבר מחר", "תודה רבה! 🙏", "יאללה ביי"],
    "hi": ["नमस्ते! कैसे हो?", "ठीक है, कल मिलते हैं", "बहुत बहुत धन्यवाद 🙏", "haan bilkul"],
    "pt": ["Oi! Tudo bem?", "Tô chegando já", "Obrigado! 😊", "Que legal, parabéns 👏"],
    "uk": ["Привіт! Як справи?", "Дякую щиро 💛💙", "Буду о шостій", "Гарного дня!"],
    "zh": ["你好！在吗？", "好的，没问题", "明天见 👋", "辛苦了"],
}  # fmt: skip

TECH = [
    "Has anybody moved to Python 3.13 in production yet? #python",
    "The GIL is not your bottleneck, your database is. Prove me wrong 😄",
    "async def all_the_things(): ...",
    "New blog post about structured concurrency: https://example.com/blog/structured?utm=tg",
    "Reminder: the meetup is on Thursday at 19:00, second floor, ring twice.",
    "Does someone have a working example of contextvars across threads?",
    "We're hiring! Backend, remote within the EU, DM me. #jobs #python",
    "Looks like uv resolves this in 200 ms. I'm impressed.",
    "Can confirm, same here on Debian 12.",
    "You want functools.cached_property for that.",
    "Slides from yesterday attached. Thanks for coming, everybody! 🎤",
    "Please don't post screenshots of code, use a paste service.",
    "TIL that int is a subclass of bool's parent, not the other way round.",
    "Why does mypy hate me today",
]

PROJECT = [
    "Build 412 is green.", "Staging is down again, looking into it.", "Merged. Thanks!",
    "Budget approved ✅ we can start on Monday.", "Please review the attached contract by Friday.",
    "The customer wants the export as CSV *and* Excel…", "Deployed to production 🚀",
    "I'd rather not put passwords into the chat.", "Stand-up in five.", "On it.",
    "Root cause: a cron job that ran twice. Fix is in review.", "Ticket AUR-231 can be closed.",
]  # fmt: skip

NEWS_TOPICS = [
    ("Science", "Astronomers report {n} new observations of a nearby exoplanet"),
    ("Economy", "Central bank leaves its rate at {n} basis points; markets barely move"),
    ("Weather", "Storm front expected: gusts of up to {n} km/h along the coast"),
    ("Sport", "Late goal decides the derby in front of {n} spectators"),
    ("Technology", "Chip maker announces plant with {n} jobs"),
    ("Culture", "Museum returns {n} objects; ceremony planned for spring"),
    ("Health", "Study with {n} participants finds that short walks help"),
    ("Transport", "Night train line extended by {n} kilometres"),
    ("Мир", "Переговоры продолжаются: на столе {n} пунктов"),
    ("Kultur", "Festival meldet {n} Besucherinnen und Besucher am Eröffnungstag"),
]
NEWS_TAILS = [
    "More as we get it.", "Read more: https://example.net/story/{n}", "", "#breaking",
    "Our correspondent is on the scene.", "Подробнее: https://example.net/ru/{n}",
    "⚡️ This post will be updated.", "Photo: agency",
]  # fmt: skip

RECIPES = [
    "Zwiebelkuchen: 250 g Mehl, 1 Würfel Hefe, 1 kg Zwiebeln, 200 g Speck 🧅",
    "Borschtsch wie bei Oma. Rote Bete erst am Schluss!", "Pasta e ceci in 20 Minuten 🍝",
    "Pflaumenmus: 3 kg Pflaumen, kein Wasser, viel Geduld.", "Sonntagsbrot mit Sauerteig 🍞",
]  # fmt: skip

REACTIONS = ["👍", "❤", "🔥", "😁", "🎉", "👏", "🤔", "😢", "🙏", "💯"]
FILES = [
    ("report-2026-Q3.pdf", "Quarterly report"), ("отчёт за март.pdf", "Report"),
    ("Angebot Müller & Söhne.pdf", "Angebot"), ("tickets.pdf", "Tickets"),
]  # fmt: skip

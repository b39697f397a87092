//! What the platform writes about, and in which words.

/// A topic by its place in [`TOPICS`].
pub(super) type Topic = u8;
/// A language by its place in [`LANGUAGES`].
pub(super) type Language = u8;

pub(super) const TOPICS: [&str; 12] = [
    "politics",
    "economy",
    "climate",
    "science",
    "health",
    "food",
    "recipes",
    "travel",
    "culture",
    "books",
    "technology",
    "sport",
];
pub(super) const FOOD: Topic = 5;
pub(super) const RECIPES: Topic = 6;

/// BCP 47, as in `language`, and what browsers call it (`context.locale`).
pub(super) const LANGUAGES: [(&str, &str); 3] = [("en", "en-GB"), ("de", "de-DE"), ("fr", "fr-FR")];
/// How many of a hundred people and articles have each language.
pub(super) const LANGUAGE_SHARES: [u32; 3] = [78, 13, 9];

/// Subjects by topic and language.
const SUBJECTS: [[[&str; 3]; 3]; 12] = [
    [
        ["the coalition", "local elections", "the new mayor"],
        ["die Koalition", "Kommunalwahlen", "die neue Bürgermeisterin"],
        ["la coalition", "les élections locales", "la nouvelle maire"],
    ],
    [
        ["interest rates", "rents", "the four-day week"],
        ["Zinsen", "Mieten", "die Viertagewoche"],
        ["les taux d’intérêt", "les loyers", "la semaine de quatre jours"],
    ],
    [
        ["heat in cities", "the last glaciers", "wind at sea"],
        ["Hitze in Städten", "die letzten Gletscher", "Wind auf See"],
        ["la chaleur en ville", "les derniers glaciers", "le vent en mer"],
    ],
    [
        ["the deep sea", "a second moon", "how birds sleep"],
        ["die Tiefsee", "ein zweiter Mond", "wie Vögel schlafen"],
        ["les abysses", "une seconde lune", "le sommeil des oiseaux"],
    ],
    [
        ["sleep", "back pain", "walking"],
        ["Schlaf", "Rückenschmerzen", "Spazierengehen"],
        ["le sommeil", "le mal de dos", "la marche"],
    ],
    [
        ["the price of olive oil", "bread", "school lunches"],
        ["Olivenöl", "Brot", "Schulessen"],
        ["l’huile d’olive", "le pain", "la cantine"],
    ],
    [
        ["lentil soup", "plum cake", "one-pot pasta"],
        ["Linsensuppe", "Pflaumenkuchen", "Nudeln aus einem Topf"],
        [
            "la soupe de lentilles",
            "la tarte aux prunes",
            "les pâtes en une casserole",
        ],
    ],
    [
        ["night trains", "the Azores", "islands in winter"],
        ["Nachtzüge", "die Azoren", "Inseln im Winter"],
        ["les trains de nuit", "les Açores", "les îles en hiver"],
    ],
    [
        ["the opera house", "street photography", "a forgotten film"],
        ["die Oper", "Straßenfotografie", "ein vergessener Film"],
        ["l’opéra", "la photographie de rue", "un film oublié"],
    ],
    [
        ["ten first novels", "rereading", "the short story"],
        ["zehn Debüts", "das zweite Lesen", "die Kurzgeschichte"],
        ["dix premiers romans", "relire", "la nouvelle"],
    ],
    [
        ["old phones", "passwords", "the quiet web"],
        ["alte Telefone", "Passwörter", "das stille Netz"],
        ["les vieux téléphones", "les mots de passe", "le web tranquille"],
    ],
    [
        ["the relegation battle", "women’s cycling", "marathon training"],
        ["der Abstiegskampf", "der Radsport der Frauen", "Marathontraining"],
        [
            "la lutte pour le maintien",
            "le cyclisme féminin",
            "préparer un marathon",
        ],
    ],
];

/// What is said of a subject, which stands in place of `*`.
const TITLES: [[&str; 4]; 3] = [
    [
        "What we know about *",
        "*: a guide",
        "A week with *",
        "The truth about *",
    ],
    [
        "Was wir wissen: *",
        "*: ein Überblick",
        "Eine Woche mit: *",
        "Die Wahrheit: *",
    ],
    [
        "Ce que l’on sait : *",
        "* : un guide",
        "Une semaine avec : *",
        "La vérité : *",
    ],
];

/// The title of the `number`th article about a topic.
pub(super) fn title(topic: Topic, language: Language, number: u32) -> String {
    let (topic, language) = (topic as usize, language as usize);
    let number = number as usize;
    let subject = SUBJECTS[topic][language][number % 3];
    let title = TITLES[language][number / 3 % 4].replace('*', subject);
    let title = capitalised(&title);
    // There are more articles than things to say.
    match number / 12 {
        0 => title,
        part => format!("{title} ({})", part + 1),
    }
}

/// What somebody who is interested in a topic looks for.
pub(super) fn query(topic: Topic, language: Language, number: u32) -> &'static str {
    SUBJECTS[topic as usize][language as usize][number as usize % 3]
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

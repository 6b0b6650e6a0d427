//! Generated catalogues of any size: every title is computed from its index and the seed, nothing is kept.
//!
//! Twenty titles form a block of sixty materials; the blocks repeat. Positions in update order are a fixed permutation
//! of the materials, so the materials of one title lie far apart in a listing, as they do at the real source, and both
//! directions (position → title, id → position) cost O(1).

use super::data::{Material, Title};
use super::reference::REFERENCE;
use super::seasons::{Season, Span};

/// Materials and episodes of each title of a block; 0 episodes = a film. 60 materials and 581 videos in all: with the
/// record of the title and its list of episodes about 31 contract writes a title.
const BLOCK: [(u32, u32); 20] = [
    (5, 12),
    (1, 0),
    (1, 12),
    (3, 12),
    (4, 13),
    (3, 0),
    (2, 10),
    (3, 12),
    (3, 11),
    (4, 12),
    (5, 0),
    (2, 24),
    (3, 12),
    (4, 6),
    (1, 26),
    (3, 0),
    (3, 12),
    (5, 10),
    (2, 8),
    (3, 12),
];
const TITLES_A_BLOCK: u64 = BLOCK.len() as u64;
const MATERIALS_A_BLOCK: u64 = 60;
/// The first generated Shikimori id.
const FIRST_ID: u64 = 1000;
/// The first material number.
const FIRST_MATERIAL: u64 = 100_000;
/// 2020-01-01 and the six years over which updates are spread.
const EPOCH: u64 = 1_577_836_800;
const SPAN: u64 = 6 * 365 * 86_400;

const PREFIXES: [&str; 16] = [
    "Aoi",
    "Hoshi no",
    "Kaze to",
    "Yoru no",
    "Gin'iro",
    "Tsuki to",
    "Hajimari no",
    "Kagami no",
    "Natsu no",
    "Akai",
    "Shizuka na",
    "Mori no",
    "Umi to",
    "Toki no",
    "Yume no",
    "Kuroi",
];
const NOUNS: [&str; 16] = [
    "Senritsu", "Toshokan", "Kishi", "Tabibito", "Kissaten", "Meikyuu", "Gakuen", "Ryuu", "Majo", "Tantei", "Hakobune",
    "Kobito", "Tenkyuu", "Densha", "Yakusoku", "Fuyuzora",
];
const RUSSIAN_PREFIXES: [&str; 16] = [
    "Синяя",
    "Звёздная",
    "Ветреная",
    "Ночная",
    "Серебряная",
    "Лунная",
    "Изначальная",
    "Зеркальная",
    "Летняя",
    "Алая",
    "Тихая",
    "Лесная",
    "Морская",
    "Вневременная",
    "Сонная",
    "Чёрная",
];
const RUSSIAN_NOUNS: [&str; 16] = [
    "мелодия",
    "библиотека",
    "стража",
    "дорога",
    "кофейня",
    "западня",
    "академия",
    "драконица",
    "ведьма",
    "загадка",
    "переправа",
    "кроха",
    "обсерватория",
    "электричка",
    "клятва",
    "зимовка",
];

/// A deterministic catalogue.
#[derive(Debug)]
pub(crate) struct Generated {
    titles: u64,
    seed: u64,
    materials: u64,
    stride: u64,
    inverse: u64,
}

impl Generated {
    /// `titles` titles; the same seed gives the same catalogue.
    pub(crate) fn new(titles: u64, seed: u64) -> Self {
        let whole = titles / TITLES_A_BLOCK * MATERIALS_A_BLOCK;
        let rest = usize::try_from(titles % TITLES_A_BLOCK).unwrap_or(0);
        let materials = whole + BLOCK[..rest].iter().map(|(count, _)| u64::from(*count)).sum::<u64>();
        let (stride, inverse) = permutation(materials.max(1));
        Self { titles, seed, materials, stride, inverse }
    }

    /// How many titles there are.
    pub(crate) fn titles(&self) -> u64 {
        self.titles
    }

    /// How many materials there are.
    pub(crate) fn materials(&self) -> u64 {
        self.materials
    }

    /// The index of the title with this Shikimori id.
    pub(crate) fn index_of(&self, id: u64) -> Option<u64> {
        id.checked_sub(FIRST_ID).filter(|index| *index < self.titles)
    }

    /// The title at a position of the update order, and which of its materials stands there.
    pub(crate) fn at_position(&self, position: u64) -> (u64, usize) {
        let logical = mul_mod(position, self.stride, self.materials);
        let (block, mut rest) = (logical / MATERIALS_A_BLOCK, logical % MATERIALS_A_BLOCK);
        for (index, (count, _)) in BLOCK.iter().enumerate() {
            let count = u64::from(*count);
            if rest < count {
                return (block * TITLES_A_BLOCK + index as u64, usize::try_from(rest).unwrap_or(0));
            }
            rest -= count;
        }
        (0, 0)
    }

    /// The position of a material by its id.
    pub(crate) fn position_of(&self, id: &str) -> Option<u64> {
        let (_, number) = id.split_once('-')?;
        let logical = number.parse::<u64>().ok()?.checked_sub(FIRST_MATERIAL)?;
        (logical < self.materials).then(|| mul_mod(logical, self.inverse, self.materials))
    }

    /// The title of an index, with all its materials.
    pub(crate) fn title(&self, index: u64) -> Title {
        let slot = usize::try_from(index % TITLES_A_BLOCK).unwrap_or(0);
        let (count, episodes) = BLOCK[slot];
        let dice = mix(self.seed ^ mix(index));
        let first = pick(dice, 0, PREFIXES.len());
        let second = pick(dice, 8, NOUNS.len());
        let number = index / 256 + 1;
        let year = 1998 + dice / 7 % 28;
        let (month, day) = (1 + dice / 11 % 12, 1 + dice / 13 % 28);
        let ongoing = episodes > 0 && dice.is_multiple_of(12);
        let id = FIRST_ID + index;
        let aired = if ongoing { episodes.div_ceil(2) } else { 0 };
        let mut title = Title {
            id,
            name: format!("{} {} {number}", PREFIXES[first], NOUNS[second]),
            russian: Some(format!("{} {} {number}", RUSSIAN_PREFIXES[first], RUSSIAN_NOUNS[second])),
            english: dice.is_multiple_of(3).then(|| format!("The {} of {number}", NOUNS[second])),
            japanese: Some(format!("生成作品{id}")),
            kind: Some(if episodes == 0 { "movie" } else { "tv" }.to_owned()),
            status: if ongoing { "ongoing" } else { "released" }.to_owned(),
            rating: ["g", "pg", "pg_13", "r"][pick(dice, 16, 4)].to_owned(),
            score: 5.0 + f64::from(u32::try_from(dice / 17 % 400).unwrap_or(0)) / 100.0,
            episodes: if episodes == 0 { 1 } else { episodes },
            aired,
            from: Some(format!("{year:04}-{month:02}-{day:02}")),
            to: (!ongoing).then(|| format!("{:04}-{month:02}-{day:02}", year + 1)),
            minutes: if episodes == 0 { 95 } else { 24 },
            genres: vec![
                REFERENCE.genres[pick(dice, 20, REFERENCE.genres.len())].id,
                REFERENCE.genres[pick(dice, 28, REFERENCE.genres.len())].id,
            ],
            studios: vec![REFERENCE.studios[pick(dice, 36, REFERENCE.studios.len())].id],
            next: ongoing.then(|| "2030-01-05T18:00:00+03:00".to_owned()),
            text: Some(format!(
                "История №{number} о том, как [character={id}]герой[/character] ищет дорогу домой.\r\n\r\nСобрана по семени {}.",
                self.seed
            )),
            worldart: Some(u32::try_from(index).unwrap_or(0)),
            ..Title::default()
        };
        title.genres.dedup();
        let first_material = self.first_material(index, slot);
        title.kodik = (0..u64::from(count))
            .map(|ordinal| {
                self.material(first_material + ordinal, ordinal, dice, if ongoing { aired } else { episodes })
            })
            .collect();
        title
    }

    fn first_material(&self, index: u64, slot: usize) -> u64 {
        let _ = self;
        index / TITLES_A_BLOCK * MATERIALS_A_BLOCK
            + BLOCK[..slot].iter().map(|(count, _)| u64::from(*count)).sum::<u64>()
    }

    fn material(&self, logical: u64, ordinal: u64, dice: u64, episodes: u32) -> Material {
        let position = mul_mod(logical, self.inverse, self.materials);
        let updated = EPOCH + position * SPAN / self.materials;
        let voices = &REFERENCE.translations;
        let voice =
            (usize::try_from(dice % 97).unwrap_or(0) + usize::try_from(ordinal).unwrap_or(0) * 7) % voices.len();
        let seasons = if episodes == 0 {
            Vec::new()
        } else {
            vec![Season { key: "1".to_owned(), title: None, episodes: vec![Span::Range(1, episodes)] }]
        };
        let prefix = if episodes == 0 { "movie" } else { "serial" };
        Material {
            id: format!("{prefix}-{}", FIRST_MATERIAL + logical),
            voice: voices[voice].id,
            seasons,
            updated_at: i64::try_from(updated).unwrap_or(0),
            created_at: i64::try_from(updated - 90 * 86_400).unwrap_or(0),
            ..Material::default()
        }
    }
}

/// A stride that visits every residue of `modulus`, and its inverse.
fn permutation(modulus: u64) -> (u64, u64) {
    // Near the golden section neighbours land far apart.
    let mut stride = (modulus / 1000 * 618).max(1);
    loop {
        if let Some(inverse) = inverse(stride, modulus) {
            return (stride, inverse);
        }
        stride += 1;
    }
}

/// The multiplicative inverse, if `value` and `modulus` share no factor.
fn inverse(value: u64, modulus: u64) -> Option<u64> {
    let (mut r, mut next_r) = (i128::from(modulus), i128::from(value % modulus));
    let (mut t, mut next_t) = (0_i128, 1_i128);
    while next_r != 0 {
        let quotient = r / next_r;
        (r, next_r) = (next_r, r - quotient * next_r);
        (t, next_t) = (next_t, t - quotient * next_t);
    }
    if modulus == 1 {
        return Some(0);
    }
    (r == 1).then(|| u64::try_from(t.rem_euclid(i128::from(modulus))).unwrap_or(0))
}

fn mul_mod(left: u64, right: u64, modulus: u64) -> u64 {
    u64::try_from(u128::from(left) * u128::from(right) % u128::from(modulus.max(1))).unwrap_or(0)
}

/// `SplitMix64`'s finaliser: a cheap, well-mixed hash.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn pick(dice: u64, shift: u32, choices: usize) -> usize {
    usize::try_from((dice >> shift) % choices.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Generated;

    #[test]
    fn positions_and_ids_are_inverse_and_cover_everything() {
        for titles in [1, 2, 7, 20, 333] {
            let catalogue = Generated::new(titles, 7);
            let mut seen = HashSet::new();
            let mut last = 0;
            for position in 0..catalogue.materials() {
                let (index, ordinal) = catalogue.at_position(position);
                let material = catalogue.title(index).kodik.swap_remove(ordinal);
                assert_eq!(catalogue.position_of(&material.id), Some(position));
                assert!(material.updated_at > last, "updates grow with the position");
                last = material.updated_at;
                assert!(seen.insert(material.id));
            }
        }
    }

    #[test]
    fn the_mean_is_about_31_contract_writes_a_title() {
        let catalogue = Generated::new(2000, 1);
        let videos: u64 = (0..2000)
            .flat_map(|index| catalogue.title(index).kodik)
            .map(|material| if material.is_serial() { u64::from(material.seasons[0].count()) } else { 1 })
            .sum();
        let writes = videos / 2000 + 2;
        assert!((29..=32).contains(&writes), "{writes}");
    }

    #[test]
    fn no_title_has_one_translation_twice() {
        let catalogue = Generated::new(500, 3);
        for index in 0..500 {
            let title = catalogue.title(index);
            let voices: HashSet<_> = title.kodik.iter().map(|material| material.voice).collect();
            assert_eq!(voices.len(), title.kodik.len());
        }
    }
}

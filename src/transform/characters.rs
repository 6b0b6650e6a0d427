//! Characters out of a title's roles; people without a character are staff and left out.

use std::collections::BTreeMap;

use crate::model::raw::shikimori::Role;
use crate::model::{Character, CharacterRole};

use super::images;
use super::text::{line, present};

/// Each character once, main ones first, then by id: the source's order changes from answer to answer.
pub(super) fn of(roles: &[Role], asset_base: &str) -> Vec<Character> {
    let mut characters: BTreeMap<u64, Character> = BTreeMap::new();
    for role in roles {
        let Some(subject) = &role.character else { continue };
        let Some(id) = u64::try_from(subject.id).ok().filter(|id| *id > 0) else { continue };
        let importance = importance(role);
        if let Some(known) = characters.get_mut(&id) {
            known.role = known.role.min(importance);
            continue;
        }
        let russian = present(subject.russian.as_ref()).and_then(line);
        let Some(name) = present(subject.name.as_ref()).and_then(line).or_else(|| russian.clone()) else { continue };
        let image = subject.image.as_ref().and_then(|image| {
            let candidates = [image.original.as_ref(), image.preview.as_ref()];
            candidates.into_iter().filter_map(present).find_map(|raw| images::absolute(raw, asset_base))
        });
        characters.insert(id, Character { id, name, russian, role: importance, image });
    }
    let mut characters: Vec<Character> = characters.into_values().collect();
    characters.sort_by_key(|character| (character.role, character.id));
    characters
}

fn importance(role: &Role) -> CharacterRole {
    let main = role.roles.iter().flatten().flatten().any(|name| name.trim().eq_ignore_ascii_case("main"));
    if main { CharacterRole::Main } else { CharacterRole::Supporting }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::model::CharacterRole::{Main, Supporting};
    use crate::model::raw::shikimori::{RestImage, Role, RoleSubject};

    fn role(word: &str, id: i64, name: Option<&str>) -> Role {
        let image = RestImage { original: Some("/assets/globals/missing_original.jpg".into()), ..RestImage::default() };
        let subject = RoleSubject { id, name: name.map(Into::into), image: Some(image), ..RoleSubject::default() };
        Role { roles: Some(vec![None, Some(word.into())]), character: Some(subject), ..Role::default() }
    }

    #[test]
    fn characters_come_once_and_main_first() {
        let staff = Role { person: Some(RoleSubject { id: 1, ..RoleSubject::default() }), ..Role::default() };
        let roles = [
            role("Supporting", 9, Some("Nine")),
            role("Supporting", 3, Some("Three")),
            staff,
            role("Main", 9, Some("Nine")),
            role("Main", 5, None),
            role("Main", -5, Some("Nobody")),
        ];
        let found: Vec<_> =
            of(&roles, "https://s.example").into_iter().map(|one| (one.id, one.role, one.image)).collect();
        assert_eq!(found, [(9, Main, None), (3, Supporting, None)]);
    }
}

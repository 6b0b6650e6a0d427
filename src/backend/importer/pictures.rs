//! What readers see of an entity is one of its images, and the primary one, also when a record lists no others.

use crate::backend::services::images;
use crate::store::catalogue::{self, ImageOwner};
use crate::store::sql::{Session, SqlError};

/// An entity's row shows this image now; `new` = the row is new, so that nothing has to be asked.
pub(in crate::backend) fn shown(
    session: &Session<'_>,
    owner: ImageOwner,
    image: Option<&str>,
    new: bool,
) -> Result<(), SqlError> {
    let Some(image) = image.and_then(images::address) else { return Ok(()) };
    let stored = if new { Vec::new() } else { catalogue::images(session, owner)? };
    let now = images::show(&image, &stored);
    if now == stored { Ok(()) } else { catalogue::put_images(session, owner, &now) }
}

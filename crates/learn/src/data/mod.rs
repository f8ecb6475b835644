//! Images: how they are held and stored, and where they come from.
//!
//! [`Images`] is what the rest of the program sees: bytes and labels in memory, one byte-stable stored
//! form, balanced subsets. They are imported from copies of CIFAR ([`import`]), which [`fetch()`] can
//! download, or made by arithmetic ([`generate`]). Nothing here knows of stages, stores or libtorch.
//! Archives and folders are other people's bytes: sizes are checked before they are believed, and names
//! inside an archive are only ever compared, never used as paths.

mod cifar;
mod fetch;
mod files;
mod images;
mod shapes;

pub use cifar::{Fault, Format, ImportError, Imported, Place, import, known_content};
pub use fetch::{Archive, BASE_URL, FetchError, Options, archive, fetch};
pub use files::FileError;
pub use images::{IMAGE_BYTES, Images, ImagesError};
pub use shapes::generate;

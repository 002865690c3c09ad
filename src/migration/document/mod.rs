//! Documents, and the language in which scripts ask for and change them.
//!
//! Values in, values out: a [`Collection`] holds documents, finds them with a [`Filter`], changes them with an
//! [`Update`]. The language is MongoDB's, as its manual documents it
//! (<https://www.mongodb.com/docs/manual/reference/operator/>); what is not spoken here is refused by name, never
//! passed over. Documents are read from and written to graphs as MongoDB Extended JSON
//! (<https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/>), so that an `ObjectId`, a date or a
//! decimal stays what it was.

mod collection;
mod compare;
mod decimal;
mod error;
mod extended;
mod filter;
mod merge;
mod name;
mod order;
mod packed;
mod path;
mod projection;
mod update;
mod value;

pub use collection::{Collection, Found, Query, UpdateResult, Write};
pub use compare::{compare, same};
pub use decimal::Decimal;
pub use error::DocumentError;
pub use extended::{Spelling, read, write};
pub use filter::Filter;
pub use merge::merge;
pub use name::{id_of, part_of, short_part_of};
pub use order::Order;
pub use packed::{pack, unpack};
pub use projection::Projection;
pub use update::Update;
pub use value::{Document, MAX_DEPTH, Value};

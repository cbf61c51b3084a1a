//! Files that are taken into memory whole: snapshots and baselines.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Far more than the tables of a run can hold, and an end for what has none.
const BYTES_MAX: u64 = 1 << 30;

/// Reads the file or pipe at `path` to its end; a device may have none.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if (kind.is_char_device() && !is_null(&metadata)) || kind.is_block_device() {
        return Err(io::Error::other("is a device; name a file"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(
            "larger than 1 GiB, which is no file of weir's",
        ));
    }
    Ok(bytes)
}

/// Whether a device is `/dev/null`: a file that happens to be empty.
pub fn is_null(metadata: &Metadata) -> bool {
    let device = metadata.rdev();
    (rustix::fs::major(device), rustix::fs::minor(device)) == (1, 3)
}

//! Pointers of Git LFS: small texts that stand for large files that were not downloaded.

/// Says what a pointer is and how to get the file; a message puts the path before it.
pub const IS_POINTER: &str = "is a Git LFS pointer, which stands for a file that was not downloaded: run `git lfs pull` \
                              (in CI, set `lfs: true` for actions/checkout)";

/// Returns whether bytes are a pointer.
pub fn is_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"version https://git-lfs.github.com/spec/")
}

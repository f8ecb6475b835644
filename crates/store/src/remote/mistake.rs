//! Addresses that were probably meant as something else. If they were taken as folder names, each would create a
//! store in the working folder, and results would be "sent" there.

/// Schemes that people write, and the correct ones.
const SCHEMES: [(&str, &str); 14] = [
    ("s3", "s3"),
    ("gs", "gs"),
    ("az", "az"),
    ("http", "http"),
    ("https", "https"),
    ("ssh", "ssh"),
    ("sftp", "ssh"),
    ("scp", "ssh"),
    ("s3a", "s3"),
    ("s3n", "s3"),
    ("gcs", "gs"),
    ("azure", "az"),
    ("abfs", "az"),
    ("file", "file"),
];

/// Returns what is wrong with an address and what was probably meant; `None` if the address can be used.
pub(super) fn of(text: &str) -> Option<String> {
    if text.trim() != text {
        return Some("it starts or ends with a space".to_owned());
    }
    match text.split_once("://") {
        Some((scheme, rest)) => of_url(scheme, rest),
        None => of_folder(text),
    }
}

fn of_url(scheme: &str, rest: &str) -> Option<String> {
    let known = SCHEMES.iter().find(|(written, _)| scheme.eq_ignore_ascii_case(written))?.1;
    if known != scheme {
        return Some(format!("did you mean `{known}://{rest}`?"));
    }
    let (head, path) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme {
        "file" if !["", "localhost"].contains(&head) => Some(format!(
            "a file URL has no host: write file:///{rest} for a folder on this machine, or ssh://{rest} for one on {head}"
        )),
        "file" if path.is_empty() => Some("the folder is missing".to_owned()),
        "file" => unexpanded(path),
        "ssh" => of_ssh(head, path),
        "http" | "https" => {
            let extra = rest.find(['?', '#'])?;
            Some(format!("a URL with `?` or `#` cannot be used: did you mean `{scheme}://{}`?", &rest[..extra]))
        }
        _ if head.contains(':') => Some(format!(
            "`{head}` is not the name of a bucket: write {scheme}://BUCKET/PREFIX, and set the address of the service in \
             a variable such as AWS_ENDPOINT_URL"
        )),
        _ => None,
    }
}

fn of_ssh(head: &str, path: &str) -> Option<String> {
    if let Some((host, after)) = head.split_once(':')
        && after.parse::<u16>().is_err()
    {
        // Written like host:/folder or host:folder.
        let below = [after, path].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let below = if after.is_empty() || after == "~" { below } else { format!("~/{below}") };
        return Some(format!("a port or `/` must follow the host: did you mean `ssh://{host}/{below}`?"));
    }
    if path.is_empty() || path == "~" || path == "~/" {
        return Some(
            "the folder is missing: write ssh://HOST/FOLDER, or ssh://HOST/~/FOLDER in your home folder".to_owned(),
        );
    }
    if path.starts_with('~') && !path.starts_with("~/") {
        return Some("`~` works only for your own home folder: write the whole path".to_owned());
    }
    unexpanded(path)
}

fn of_folder(text: &str) -> Option<String> {
    if let Some(home) = text.strip_prefix('~') {
        let cure = match home.strip_prefix('/') {
            Some(below) => format!("on a command line write \"$HOME/{below}\", in a file write the whole path"),
            None => "write the whole path".to_owned(),
        };
        return Some(format!("the shell did not expand `~`: {cure}; for a folder of that name write ./{text}"));
    }
    if let Some(mistake) = unexpanded(text) {
        return Some(mistake);
    }
    let mut start = text.chars();
    if let (Some(drive), Some(':'), Some('\\' | '/') | None) = (start.next(), start.next(), start.next())
        && drive.is_ascii_alphabetic()
    {
        let below = text[2..].replace('\\', "/");
        return Some(format!("this is a Windows path; under WSL it is /mnt/{}{below}", drive.to_ascii_lowercase()));
    }
    if text.starts_with("\\\\") || text.starts_with(".\\") || text.starts_with("..\\") {
        return Some(format!("this is a Windows path: did you mean `{}`?", text.replace('\\', "/")));
    }
    let (head, path) = text.split_once('/').unwrap_or((text, ""));
    if let Some((before, after)) = head.split_once(':') {
        let rest = text[before.len() + 1..].trim_start_matches('/');
        if let Some((_, known)) = SCHEMES.iter().find(|(written, _)| before.eq_ignore_ascii_case(written)) {
            let slashes = if *known == "file" { ":///" } else { "://" };
            return Some(format!("did you mean `{known}{slashes}{rest}`?"));
        }
        let folder = format!("For a folder of that name write ./{text}");
        if !after.is_empty() && after.chars().all(|c| c.is_ascii_digit()) {
            return Some(format!("this looks like a host and a port: did you mean `http://{text}`? {folder}"));
        }
        let below = if after.is_empty() && text.len() > head.len() { "" } else { "~/" };
        let rest = rest.strip_prefix("~/").unwrap_or(rest);
        return Some(format!(
            "this looks like a folder on another machine: did you mean `ssh://{before}/{below}{rest}`? {folder}"
        ));
    }
    if SCHEMES.iter().any(|(written, _)| head == *written) && path.starts_with('/') {
        return Some(format!("did you mean `{head}:/{path}`?"));
    }
    if head.contains('@') || (is_host(head) && text.contains('/')) {
        let meant = if head.contains('@') { "ssh" } else { "https" };
        return Some(format!(
            "this looks like the name of a host: did you mean `{meant}://{text}`? For a folder of that name write ./{text}"
        ));
    }
    None
}

/// Whether a name looks like `example.org`.
fn is_host(name: &str) -> bool {
    let labels: Vec<_> = name.split('.').collect();
    let fine = |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let last = labels.last().copied().unwrap_or_default();
    labels.len() > 1 && labels.iter().all(fine) && last.len() > 1 && last.chars().all(|c| c.is_ascii_alphabetic())
}

/// Returns an error for a variable that the shell has not replaced.
fn unexpanded(path: &str) -> Option<String> {
    let part = path.split('/').find(|part| part.starts_with('$') || part.starts_with("%") && part.ends_with('%'))?;
    Some(format!("`{part}` was not expanded: variables work only on a command line, and not in single quotes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_something_else_is_told_apart() {
        for (text, meant) in [
            ("me@lab:/data/cache", "ssh://me@lab/data/cache"),
            ("me@lab:cache", "ssh://me@lab/~/cache"),
            ("lab:cache/x", "ssh://lab/~/cache/x"),
            ("lab:~/cache", "ssh://lab/~/cache"),
            ("lab:/", "ssh://lab/"),
            ("me@lab/cache", "ssh://me@lab/cache"),
            ("ssh://lab:/data", "ssh://lab/data"),
            ("ssh://lab:data/x", "ssh://lab/~/data/x"),
            ("ssh://lab", "ssh://HOST/FOLDER"),
            ("ssh://lab/~", "ssh://HOST/~/FOLDER"),
            ("ssh://lab/~ann/x", "whole path"),
            ("ssh://lab/$HOME/x", "`$HOME`"),
            ("sftp://lab/x", "ssh://lab/x"),
            ("~/cache", "\"$HOME/cache\""),
            ("~ann/cache", "whole path"),
            ("~", "whole path"),
            ("$HOME/cache", "`$HOME`"),
            ("/data/${USER}/x", "`${USER}`"),
            ("file://lab/data", "ssh://lab/data"),
            ("file:/data", "file:///data"),
            ("file://", "folder is missing"),
            ("s3:bucket/x", "s3://bucket/x"),
            ("s3:/bucket", "s3://bucket"),
            ("s3//bucket", "s3://bucket"),
            ("S3://bucket", "s3://bucket"),
            ("s3://https://a/b", "AWS_ENDPOINT_URL"),
            ("gcs://bucket", "gs://bucket"),
            ("https:/host/x", "https://host/x"),
            ("https://host/x?list=1", "`https://host/x`"),
            ("localhost:8000", "http://localhost:8000"),
            ("www.example.org/cache", "https://www.example.org/cache"),
            ("C:\\x\\y", "/mnt/c/x/y"),
            ("d:/x", "/mnt/d/x"),
            ("\\\\server\\x", "//server/x"),
            (" /x", "space"),
        ] {
            let said = of(text).unwrap_or_else(|| panic!("{text} is taken"));
            assert!(said.contains(meant), "{text}: {said}");
        }
    }

    #[test]
    fn what_can_be_what_it_says_is_taken() {
        for text in [
            "/data/cache",
            "cache",
            "rem.d",
            "./a:b",
            "./~/x",
            "../x@y",
            "./example.org/x",
            "/a/b.c/d",
            "data.v2/x",
            "s3://b/x@y",
            "https://host:8000/x",
            "ssh://me@host:22/x",
            "file:///x",
            "az://c/$x",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}

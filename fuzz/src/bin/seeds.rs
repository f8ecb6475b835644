//! Writes the corpora that fuzzing starts from: `seeds FOLDER` writes `FOLDER/<target>/seed-…` for every target, from
//! the committed figures and pipelines and from small values of every format.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
// The fuzzer's library, which has the counters that the instrumented program needs.
use libfuzzer_sys as _;
use learn::data::{IMAGE_BYTES, Images};
use base::digest::{ClosureRoot, ObjectDigest, RecordDigest, StageKey};
use learn::exchange::{Names, export};
use learn::init::initial_weights;
use learn::layout::layout;
use learn::weights::{Array, Weights};
use store::attestation::{Attestation, Segment, Testimony};
use base::record::{KeyParts, Output, Provenance, Record};
use store::sign::{Batch, SecretKey};
use wdpipe::spec::{Pipeline, expand};
use draw::stamp::{Format, Stamp, stamp};
use store::{Listed, ListedOutput, Part};
use base::table::{Column, Table, Values};
use base::work::{InitScheme, Model, ModelName};

type Done = Result<(), Box<dyn std::error::Error>>;

/// Folder for the seeds of one target.
struct Corpus {
    folder: PathBuf,
    count: usize,
}

impl Corpus {
    fn new(root: &Path, target: &str) -> io::Result<Self> {
        let folder = root.join(target);
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, count: 0 })
    }

    /// Writes a seed that joins several pieces.
    fn add(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        self.count += 1;
        fs::write(self.folder.join(format!("seed-{:03}", self.count)), pieces.concat())
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Lists the files with an extension in a folder of the repository, sorted.
fn files(folder: &str, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(repository().join(folder))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn pipelines() -> io::Result<Vec<String>> {
    let files = [files("pipelines", "toml")?, files("tests/fixtures/pipelines", "toml")?].concat();
    files.iter().map(fs::read_to_string).collect()
}

fn main() -> Done {
    let root = PathBuf::from(env::args_os().nth(1).ok_or("name a folder: seeds FOLDER")?);
    texts(&root)?;
    values(&root)?;
    learning(&root)?;
    copies(&root)?;
    figures(&root)?;
    proofs(&root)
}

/// Writes seeds of locks, archives, attestations, signatures and a trust file.
fn proofs(root: &Path) -> Done {
    let (mut locks, mut archives) = (Corpus::new(root, "lock")?, Corpus::new(root, "archive")?);
    for path in files("reports/smoke", "lock")? {
        let text = fs::read(path)?;
        // Fuzzing is more thorough on short locks.
        if text.len() < 12_000 {
            locks.add(&[&[1], &text])?;
        }
    }
    for path in files("reports/smoke", "wdpipe")? {
        // Some are packed against another one.
        let bytes = store::archive::repack(&path, None)?;
        let frame = bytes.get(6..bytes.len().saturating_sub(32)).unwrap_or_default();
        let plain = zstd::stream::decode_all(frame)?;
        if plain.len() < 200_000 {
            archives.add(&[&[2], &plain])?;
            archives.add(&[&[1], &bytes[..bytes.len() - 32]])?;
            archives.add(&[&[3], frame])?;
        }
    }
    let key = SecretKey::generate()?;
    let (mut attestations, mut batches) = (Corpus::new(root, "attestations")?, Corpus::new(root, "signatures")?);
    let segment = Segment { key: StageKey::from_bytes([3; 32]), outcome: ClosureRoot::from_bytes([4; 32]) };
    let said = Testimony {
        figure: "fig3".to_owned(),
        root: ClosureRoot::from_bytes([5; 32]),
        seed: "x".to_owned(),
        out_of: 3,
        equal: vec![segment],
        within: Vec::new(),
        differs: vec![segment],
        machine: "m".to_owned(),
        who: "a@b".to_owned(),
        finished: 1,
        wdpipe: "0".to_owned(),
    };
    let attestation = Attestation::sign(said, &key)?.to_text();
    attestations.add(&[attestation.as_bytes()])?;
    attestations.add(&[attestation.as_bytes(), attestation.as_bytes()])?;
    for count in [1, 2, 5] {
        let records = (0..count).map(|i| RecordDigest::from_bytes([i; 32]));
        batches.add(&[&Batch::sign(&key, records)?.to_bytes()?.1])?;
    }
    batches.add(&[key.public().to_string().as_bytes()])?;
    let mut trust = Corpus::new(root, "trust")?;
    let one = format!(
        "[policy]\nuse = \"signed\"\nimport = \"any\"\n\n[[key]]\nname = \"a\"\npublic = \"{}\"\n",
        key.public()
    );
    let other = SecretKey::generate()?.public();
    trust.add(&[one.as_bytes()])?;
    trust.add(&[format!("{one}\n[[key]]\nname = \"b\"\npublic = \"{other}\"\nrevoked = \"lost\"\n").as_bytes()])?;
    Ok(())
}

/// Writes seeds of pipelines, and of the expressions that they contain.
fn texts(root: &Path) -> Done {
    let (mut texts, mut expressions) = (Corpus::new(root, "pipeline")?, Corpus::new(root, "expression")?);
    for text in pipelines()? {
        texts.add(&[text.as_bytes()])?;
    }
    texts.add(&[include_bytes!("../../../src/cli/new.toml")])?;
    for text in
        ["-a^2", "norm^2 * trace", "100 * (1 - x / 1e2)", "min(a, max(0.5, b))", "a^-b^2", "sqrt(log(exp(abs(x))))"]
    {
        expressions.add(&[text.as_bytes()])?;
    }
    let (mut pins, mut remotes) = (Corpus::new(root, "pin")?, Corpus::new(root, "remotes")?);
    pins.add(&[&[0], store::marker().as_bytes(), b"needs wdpipe 0.4\n"])?;
    let digits = "5a".repeat(32);
    for kept in ["", &format!("key {digits}\n"), &format!("key {digits}\nobject {digits}\n")] {
        pins.add(&[&[1], b"wdpipe pin, version 1\nmade 1795418100\nwho ann@lab\nreason none\n", kept.as_bytes()])?;
    }
    for url in
        ["/mnt/shared", "s3://bucket/a", "gs://bucket", "az://box/a", "https://example.org/c", "ssh://me@host:22/c"]
    {
        let list = format!("# Ours.\n[lab]\nurl = '{url}'\naccept = ['unsigned']\n\n[b]\nurl = \"\"\"{url}\"\"\"\n");
        remotes.add(&[list.as_bytes()])?;
    }
    Ok(())
}

fn object(bytes: &[u8]) -> Output {
    Output {
        name: "metrics".into(),
        object: ObjectDigest::of(bytes),
        bytes: bytes.len() as u64,
        inline: Some(bytes.into()),
    }
}

/// Writes seeds of tables, object files, and records of every kind of stage in the pipelines.
fn values(root: &Path) -> Done {
    let mut records = Corpus::new(root, "record")?;
    let mut kinds = std::collections::BTreeSet::new();
    for text in pipelines()? {
        for (profile, _) in Pipeline::profiles("p.toml", &text).map_err(|error| error.to_string())? {
            let graph = Pipeline::read("p", "p.toml", &text, &profile, &[]).and_then(|pipeline| expand(&pipeline));
            for stage in graph.map_err(|errors| errors.len().to_string())?.stages {
                if !kinds.insert(stage.work.kind()) {
                    continue;
                }
                let parts = KeyParts {
                    kind: stage.work.kind().into(),
                    version: stage.work.version(),
                    parameters: stage.work.parameters()?,
                    inputs: [("weights".into(), ObjectDigest::of(b"w"))].into(),
                    policy: Default::default(),
                };
                let provenance = Provenance { stage: stage.name, ..Provenance::default() };
                let tensors = vec![("a".into(), ObjectDigest::of(b"t"))];
                let record = Record { parts, outputs: vec![object(b"table")], tensors, provenance };
                records.add(&[&record.to_bytes()?.1])?;
            }
        }
    }
    let mut tables = Corpus::new(root, "table")?;
    let columns = vec![
        Column { name: "epoch".into(), values: Values::Int(vec![0, -1]) },
        Column { name: "loss".into(), values: Values::Float(vec![0.1, f64::NAN]) },
        Column { name: "no,te".into(), values: Values::Text(vec!["a\nb".into(), "say \"x\"".into()]) },
    ];
    tables.add(&[&Table::new(columns)?.to_bytes()?])?;
    tables.add(&[&Table::default().to_bytes()?])?;
    let mut parts = Corpus::new(root, "catalogue")?;
    let listed = ListedOutput { name: "weights".into(), object: ObjectDigest::of(b"w"), bytes: 9, inline: false };
    let record = Listed {
        key: StageKey::from_bytes([1; 32]),
        record: RecordDigest::from_bytes([2; 32]),
        bytes: 7,
        outputs: vec![listed],
    };
    let part = Part {
        gone: vec![ObjectDigest::of(b"gone")],
        objects: vec![(ObjectDigest::of(b"w"), 9)],
        records: vec![record],
        ..Part::default()
    };
    // The target appends the checksum itself.
    let bytes = part.to_bytes()?;
    parts.add(&[&bytes[..bytes.len() - 32]])?;
    let mut objects = Corpus::new(root, "object")?;
    let text = b"weight decay ".repeat(30);
    let length = (text.len() as u64).to_le_bytes();
    objects.add(&[&[0], b"WDob\x01\0\0\0", &length, &text])?;
    objects.add(&[&[1], &text])?;
    objects.add(&[&[2], &length[..3], &zstd::bulk::compress(&text, 3)?])?;
    objects.add(&[&[2], &length[..3], &zstd::bulk::compress(&text[..200], 19)?])?;
    Ok(())
}

/// Writes seeds of weights and images.
fn learning(root: &Path) -> Done {
    let mut weights = Corpus::new(root, "weights")?;
    let array = |shape: &[usize], data: &[f32]| Array { shape: shape.to_vec(), data: data.to_vec() };
    let small =
        [("a".to_owned(), array(&[1, 2], &[0.5, -0.0])), ("b".to_owned(), array(&[3], &[1.0, f32::MAX, 1e-40]))];
    weights.add(&[&small.into_iter().collect::<Weights>().to_bytes()?])?;
    for (_, name) in ModelName::ALL {
        let model = Model::new(name, 1, 2);
        let (all, layout) = (initial_weights(model, InitScheme::Pytorch, None, 1)?, layout(model)?);
        weights.add(&[&export(&all, &layout, Names::Authors)?])?;
    }
    let mut images = Corpus::new(root, "images")?;
    let some = Images::new(vec![7; 3 * IMAGE_BYTES], vec![0, 2, 1], 3)?.to_bytes()?;
    images.add(&[&[0], &some])?;
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["cifar-10-batches-bin/data_batch_1.bin", "cifar-10-batches-bin/test_batch.bin"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(100);
        archive.append_data(&mut header, name, &[1; 100][..])?;
    }
    let archive = archive.into_inner()?;
    images.add(&[&[2], &archive])?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&archive)?;
    images.add(&[&[1], &gzip.finish()?])?;
    Ok(())
}

/// Writes seeds of data set copies: pickles as Python 2 and Python 3 write them, arrays, and an archive of arrays.
fn copies(root: &Path) -> Done {
    let mut pickles = Corpus::new(root, "pickle")?;
    for (mode, labels) in [(0, "labels"), (1, "fine_labels")] {
        let key = [&[b'U', labels.len() as u8][..], labels.as_bytes()].concat();
        pickles.add(&[
            &[mode],
            b"\x80\x02}q\x01(",
            &key,
            b"q\x02]q\x03(K\x06K\x09eU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\0\x85U\x01b",
            b"\x87Rq\x07(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x08U\x02u1K\0K\x01\x87Rq\x09(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff",
            b"K\0tb\x89T\x06\0\0\0abcdeftbu.",
        ])?;
        let key = [&[0x8c, labels.len() as u8][..], labels.as_bytes()].concat();
        pickles.add(&[
            &[mode],
            b"\x80\x05\x95\0\0\0\0\0\0\0\0}\x94(",
            &key,
            b"\x94]\x94(K\x06K\x09e\x8c\x04data\x94\x8c\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94(\x96\x06\0\0\0\0\0\0",
            b"\0abcdef\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ",
            b"\xff\xff\xff\xffK\0t\x94bK\x02K\x03\x86\x94\x8c\x01C\x94t\x94R\x94u.",
        ])?;
        pickles.add(&[&[mode], b"\x80\x02c_codecs\nencode\nX\x02\0\0\0\xc3\xbfX\x06\0\0\0latin1\x86R."])?;
    }
    let mut arrays = Corpus::new(root, "npz")?;
    let array = |descr: &str, shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        [b"\x93NUMPY\x01\0v\0", format!("{header:<117}\n").as_bytes(), data].concat()
    };
    let labels = array("<i8", "(2, 1)", &[0; 16]);
    arrays.add(&[&[0], &array("|u1", "(1, 32, 32, 3)", &[7; IMAGE_BYTES])])?;
    arrays.add(&[&[1], &labels])?;
    for method in [0, 8] {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&labels)?;
        let packed = if method == 8 { deflate.finish()? } else { labels.clone() };
        let mut sum = flate2::Crc::new();
        sum.update(&labels);
        let sum = sum.sum().to_le_bytes();
        let [size, packed_size] = [labels.len(), packed.len()].map(|length| (length as u32).to_le_bytes());
        let (length, list) = (11_u16.to_le_bytes(), (41 + packed.len() as u32).to_le_bytes());
        let name = b"y_train.npy";
        arrays.add(&[
            &[
                &[2],
                &b"PK\x03\x04\x14\0\0\0"[..],
                &[method, 0, 0, 0, 0, 0],
                &sum,
                &packed_size,
                &size,
                &length,
                &[0; 2],
                name,
                &packed,
            ]
            .concat(),
            &[
                &b"PK\x01\x02\x14\0\x14\0\0\0"[..],
                &[method, 0, 0, 0, 0, 0],
                &sum,
                &packed_size,
                &size,
                &length,
                &[0; 16],
                name,
            ]
            .concat(),
            &[&b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x39\0\0\0"[..], &list, &[0; 2]].concat(),
        ])?;
    }
    Ok(())
}

/// Writes seeds of drawings with and without stamps, and of containers for drawings.
fn figures(root: &Path) -> Done {
    let (mut drawings, mut search) = (Corpus::new(root, "stamp_unstamp")?, Corpus::new(root, "stamp_find")?);
    let mut pages = Corpus::new(root, "svg_page")?;
    let named =
        Stamp { figure: "fig 3".into(), key: StageKey::from_bytes([0xab; 32]), root: ClosureRoot::from_bytes([7; 32]) };
    let small = |format| -> io::Result<Vec<u8>> {
        let extension = ["svg", "png", "pdf"][format];
        let mut all = files("reports/smoke", extension)?.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
        all.sort_by_key(Vec::len);
        Ok(all.swap_remove(0))
    };
    for (mode, format) in [Format::Svg, Format::Png, Format::Pdf].into_iter().enumerate() {
        let bytes = small(mode)?;
        let stamped = stamp(format, &bytes, &named)?;
        drawings.add(&[&[mode as u8], &bytes])?;
        drawings.add(&[&[mode as u8], &stamped])?;
    }
    // Short drawings, because fuzzing is fast on these.
    let svg = b"<svg>\n<title>t</title>\n<desc>d</desc>\n<path d=\"M0 0\"/>\n</svg>\n";
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..], &[1; 13], &[2; 4], b"\0\0\0\0IEND\xae\x42\x60\x82"].concat();
    let pdf =
        b"%PDF-1.7\n1 0 obj\n<<\n  /Title (t)\n>>\nendobj\n\nxref\n0 2\n0000000000 65535 f\r\n0000000009 00000 n\r\n\
                trailer\n<<\n  /Size 2\n  /Root 1 0 R\n  /Info 1 0 R\n>>\nstartxref\n44\n%%EOF";
    for (mode, format, bytes) in [(0, Format::Svg, &svg[..]), (1, Format::Png, &png), (2, Format::Pdf, pdf)] {
        let stamped = stamp(format, bytes, &named)?;
        drawings.add(&[&[mode], bytes])?;
        drawings.add(&[&[mode], &stamped])?;
        search.add(&[&stamped])?;
    }
    let text = named.to_string();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let hex: String = wide.iter().map(|byte| format!("{byte:02x}")).collect();
    let octal: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(text.as_bytes())?;
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(text.as_bytes())?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes())?;
    search.add(&[&wide])?;
    search.add(&[b"<feff", hex.as_bytes(), b">"])?;
    search.add(&[octal.as_bytes()])?;
    search.add(&[text.replace(' ', "%20").replace('/', "%2F").as_bytes()])?;
    search.add(&[b"base64,d2RwaXBlLWZpZ3VyZS8xIG5hbWU9eA=="])?;
    search.add(&[b"<</Filter/FlateDecode>>stream\n", &zlib.finish()?, b"\nendstream"])?;
    search.add(&[b"PK\x03\x04\x14\0\0\0\x08\0", &[0; 16], &[1, 0, 0, 0], b"x", &deflate.finish()?])?;
    search.add(&[&gzip.finish()?])?;
    pages.add(&[svg])?;
    for svg in [
        "<svg onload=\"alert(1)\"/>",
        "<svg><a href=\"javascript:alert(1)\"/></svg>",
        "<svg><metadata><metadata></metadata><script></script></metadata></svg>",
        "<?xml version=\"1.0\"?>\n<svg fill=\"url(#c)\"><title id=\"t\">a &lt; b</title></svg>",
        "<svg><style>@import url(x)</style><image href=\"http://h\"/><foreignObject/></svg>",
    ] {
        pages.add(&[svg.as_bytes()])?;
    }
    Ok(())
}

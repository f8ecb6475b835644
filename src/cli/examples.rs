//! Examples in the long help of each command: what an example does, and its line.

/// Examples of a command.
type Examples = &'static [(&'static str, &'static str)];

/// Commands and their examples.
pub const EXAMPLES: &[(&str, Examples)] = &[
    (
        "wdpipe",
        &[
            ("Make a figure that needs no training", "wdpipe make fig4"),
            ("Estimate what a figure would cost", "wdpipe make fig3 --dry-run"),
            ("Check the committed figures", "wdpipe verify"),
            ("Explain a command, with examples", "wdpipe help make"),
        ],
    ),
    (
        "wdpipe new",
        &[
            ("Begin a pipeline for a figure of your own", "wdpipe new mine"),
            ("Begin with a copy of a figure", "wdpipe new mine --from fig3"),
            ("Write it to another folder", "wdpipe new mine --pipelines drafts"),
            ("Make a new project with the pipelines of the paper", "wdpipe new --project lab"),
        ],
    ),
    (
        "wdpipe check",
        &[
            ("Check all pipelines of the project", "wdpipe check"),
            ("Check those in another folder", "wdpipe check --pipelines drafts"),
        ],
    ),
    (
        "wdpipe make",
        &[
            ("Make a figure; what is cached is not computed again", "wdpipe make fig3"),
            ("Show what would run and its cost, for a GPU that is not here", "wdpipe make all --dry-run --assume h200"),
            ("Make one panel with other learning rates", "wdpipe make fig3c --set 'lr=[0.1,0.25]'"),
            (
                "Add seeds until the means are known to 0.2, for two hours",
                "wdpipe make fig2a --until-width 0.2 --budget 2h",
            ),
        ],
    ),
    (
        "wdpipe attach",
        &[
            ("Follow a run; `wdpipe jobs` lists the runs", "wdpipe attach 3f9c2a1b"),
            ("Print its outcome as JSON at the end", "wdpipe attach 3f9c2a1b --json"),
        ],
    ),
    (
        "wdpipe jobs",
        &[
            ("List all runs", "wdpipe jobs"),
            ("Show the workers of one", "wdpipe jobs 3f9c2a1b"),
            ("Print the log of one of its workers", "wdpipe jobs 3f9c2a1b --log 1"),
            ("Remove the logs of runs that have ended", "wdpipe jobs --prune"),
        ],
    ),
    (
        "wdpipe cancel",
        &[
            ("End a run; `wdpipe jobs` lists the runs", "wdpipe cancel 3f9c2a1b"),
            ("End a run whose cache is elsewhere", "wdpipe cancel 3f9c2a1b --cache /shared/cache"),
        ],
    ),
    (
        "wdpipe work",
        &[
            ("Help with a run that another machine began", "wdpipe work 3f9c2a1b --cache /shared/cache"),
            ("Stop after two hours", "wdpipe work 3f9c2a1b --time 2h"),
        ],
    ),
    (
        "wdpipe watch",
        &[
            ("Show the running stages in a browser, while `make` runs elsewhere", "wdpipe watch"),
            ("Use the same port each time, for a tunnel", "wdpipe watch --port 8642"),
        ],
    ),
    (
        "wdpipe data",
        &[
            ("List the data sets, and whether each is here", "wdpipe data list"),
            ("Download CIFAR-10 and import it", "wdpipe data fetch cifar10"),
            ("Import an archive that you have", "wdpipe data import cifar-10-binary.tar.gz"),
        ],
    ),
    (
        "wdpipe data import",
        &[
            ("Import the binary or the Python version", "wdpipe data import cifar-10-python.tar.gz"),
            ("Import an unpacked folder", "wdpipe data import cifar-100-binary"),
        ],
    ),
    (
        "wdpipe data fetch",
        &[
            ("Download CIFAR-10 from its authors", "wdpipe data fetch cifar10"),
            ("Keep the archive in a folder of your own", "wdpipe data fetch cifar100 --folder ~/downloads"),
            ("Use a mirror", "wdpipe data fetch cifar10 --from https://example.org/mirror"),
        ],
    ),
    (
        "wdpipe data list",
        &[("List the data sets", "wdpipe data list"), ("List them for a program", "wdpipe data list --json")],
    ),
    (
        "wdpipe import",
        &[
            ("Import weights that PyTorch saved as safetensors", "wdpipe import resnet.safetensors"),
            ("Give them another name in pipelines", "wdpipe import resnet.safetensors --name pretrained"),
            ("Round float64 numbers to float32", "wdpipe import double.safetensors --round"),
        ],
    ),
    (
        "wdpipe status",
        &[
            ("Print what is cached of all figures", "wdpipe status"),
            ("Print what a panel lacks in another profile", "wdpipe status fig3c --profile quick"),
        ],
    ),
    (
        "wdpipe explain",
        &[
            ("Explain a checkpoint after 5 epochs", "wdpipe explain 'fig3/trunk[lr=0.1,seed=0]@5'"),
            ("Explain up to ten stages with a setting", "wdpipe explain 'fig3/trunk[lr=0.1]' --limit 10"),
            ("Explain why a change makes a stage run", "wdpipe explain fig3/trunk --set trunk.wd=0.01"),
        ],
    ),
    (
        "wdpipe graph",
        &[
            ("Print the stages of a figure", "wdpipe graph fig3"),
            ("List all stages by name for a program", "wdpipe graph --format json"),
            ("Draw them with Graphviz", "wdpipe graph fig3 --format dot | dot -Tsvg > fig3.svg"),
        ],
    ),
    (
        "wdpipe show",
        &[
            ("Print the numbers of a stage", "wdpipe show 'fig3/probe[after=21,lr=0.1,seed=0]'"),
            ("Write one table over all runs of a stage", "wdpipe show fig3/trunk --csv --to trunk.csv"),
            ("Write all numbers of a figure for TensorBoard", "wdpipe show fig3 --tensorboard board"),
            ("Write a drawing to a file", "wdpipe show fig3 --output svg --to fig3.svg"),
        ],
    ),
    (
        "wdpipe numbers",
        &[
            ("Print every run of a figure as CSV", "wdpipe numbers fig3"),
            ("Write LaTeX macros for the sentences of a paper", "wdpipe numbers fig3 --tex --to fig3.tex"),
            ("Check these macros", "wdpipe numbers fig3 --tex --check fig3.tex"),
        ],
    ),
    (
        "wdpipe shell",
        &[
            ("Look around in the sandbox of a command", "wdpipe shell 'own/sharpness[rho=0.1]@5'"),
            ("Run a program there", "wdpipe shell 'own/sharpness[rho=0.1]@5' -- ls -R in"),
        ],
    ),
    (
        "wdpipe compare",
        &[
            ("Judge the claims of all figures", "wdpipe compare"),
            ("Judge those of one figure in another profile", "wdpipe compare fig3 --profile quick"),
        ],
    ),
    (
        "wdpipe diff",
        &[
            ("Compare two settings, both made before", "wdpipe diff fig3 --set-b 'lr=[0.1,0.25]'"),
            ("Compare with another checkout", "wdpipe diff fig3 --cache-b ../other/cache"),
            ("Compare with the committed lock", "wdpipe diff reports/smoke/fig3.lock fig3"),
        ],
    ),
    (
        "wdpipe bisect",
        &[
            ("Compare runs of two checkouts", "wdpipe bisect 'fig3/trunk[seed=0]' --cache-b ../other/cache"),
            ("Compare two records by their digests", "wdpipe bisect 4be1a86afe17 2d3fb0c8b8d1"),
            ("Find out whether a key has several outcomes", "wdpipe bisect 53a1f00d"),
        ],
    ),
    (
        "wdpipe report",
        &[
            ("Write the page of the default profile", "wdpipe report"),
            ("Write one section of another page again", "wdpipe report fig3 --profile quick"),
            ("Name the git commit on the page", "wdpipe report --commit"),
        ],
    ),
    (
        "wdpipe whois",
        &[
            ("Print from what a drawing was made", "wdpipe whois figure.png"),
            ("List all its stages", "wdpipe whois paper.pdf --stages"),
            ("Find the figure of a root that a caption gives", "wdpipe whois 240d5eb4a1b8"),
        ],
    ),
    (
        "wdpipe lock",
        &[
            ("Lock a figure", "wdpipe lock fig3"),
            ("Lock all figures of another profile", "wdpipe lock all --profile quick"),
            ("Lock the trusted results instead of the locked ones", "wdpipe lock fig3 --anew"),
        ],
    ),
    (
        "wdpipe verify",
        &[
            ("Check all committed figures, for example in CI", "wdpipe verify"),
            ("Also draw a figure again from its recorded numbers", "wdpipe verify fig3 --render"),
            ("Also recompute four random stages", "wdpipe verify fig3 --rebuild 4"),
            ("Compare with results of your own seeds", "wdpipe verify fig3 --statistics"),
        ],
    ),
    (
        "wdpipe audit",
        &[
            ("Recompute three random segments of a figure", "wdpipe audit fig3"),
            ("Recompute ten, chosen by a text of the day", "wdpipe audit fig3 --segments 10 --seed 'news of today'"),
        ],
    ),
    (
        "wdpipe selftest",
        &[
            ("Compare the estimators with exact values", "wdpipe selftest estimators"),
            ("Simulate the statistical rules", "wdpipe selftest statistics"),
        ],
    ),
    (
        "wdpipe selftest numerics",
        &[
            ("Repeat the runs of a case", "wdpipe selftest numerics case.safetensors"),
            ("Keep the results computed here", "wdpipe selftest numerics case.safetensors --out here.safetensors"),
        ],
    ),
    (
        "wdpipe selftest estimators",
        &[
            ("Compare with exact values", "wdpipe selftest estimators"),
            ("Average over more estimates", "wdpipe selftest estimators --repetitions 1000"),
        ],
    ),
    (
        "wdpipe selftest statistics",
        &[
            ("Simulate the statistical rules", "wdpipe selftest statistics"),
            ("Look quickly, with fewer cases", "wdpipe selftest statistics --cases 200"),
        ],
    ),
    (
        "wdpipe selftest report",
        &[
            ("Write docs/numerics.md", "wdpipe selftest report case.safetensors"),
            ("Write it elsewhere", "wdpipe selftest report case.safetensors --to numerics.md"),
        ],
    ),
    (
        "wdpipe push",
        &[
            ("Send a figure to the only remote in the list", "wdpipe push fig3"),
            ("Send only records and numbers, to a URL", "wdpipe push all --numbers --to s3://bucket/results"),
        ],
    ),
    (
        "wdpipe pull",
        &[
            ("Fetch what is needed to draw a figure", "wdpipe pull fig3"),
            ("Fetch its weights too", "wdpipe pull fig3 --all --from lab"),
            ("Fetch unsigned results of a colleague", "wdpipe pull fig3 --from ../theirs/cache --accept unsigned"),
        ],
    ),
    (
        "wdpipe remote",
        &[("Add a remote", "wdpipe remote add lab s3://bucket/results"), ("Test it", "wdpipe remote test lab")],
    ),
    (
        "wdpipe remote add",
        &[
            ("Add a bucket", "wdpipe remote add lab s3://bucket/results"),
            ("Add a folder on another machine", "wdpipe remote add office ssh://host/srv/cache"),
            ("Add one whose unsigned records are used", "wdpipe remote add mine ../cache --accept unsigned"),
        ],
    ),
    (
        "wdpipe remote list",
        &[("List the remotes", "wdpipe remote list"), ("List them for a program", "wdpipe remote list --json")],
    ),
    (
        "wdpipe remote remove",
        &[
            ("Forget a remote", "wdpipe remote remove lab"),
            ("Edit another list", "wdpipe remote remove lab --remotes other.toml"),
        ],
    ),
    (
        "wdpipe remote test",
        &[
            ("Test a remote in the list", "wdpipe remote test lab"),
            ("Test an address before it is added", "wdpipe remote test https://example.org/cache"),
        ],
    ),
    (
        "wdpipe export",
        &[
            ("Write the weights after 5 epochs", "wdpipe export 'fig3/trunk[lr=0.1,seed=0]@5'"),
            ("Write the moving average", "wdpipe export 'fig3/trunk[lr=0.1,seed=0]@5' --output ema"),
            ("Use the names of the authors' code", "wdpipe export 'fig3/trunk[lr=0.1,seed=0]@5' --names authors"),
        ],
    ),
    (
        "wdpipe crate",
        &[
            ("Pack a locked figure to deposit it", "wdpipe crate fig3 ../fig3"),
            ("Also pack the weights that the cache holds", "wdpipe crate fig3 ../fig3 --all"),
            (
                "Say when it is published, and under which licence",
                "wdpipe crate fig3 ../fig3 --date 2026-12-01 --license CC-BY-4.0",
            ),
        ],
    ),
    (
        "wdpipe cite",
        &[
            ("Print a sentence for the caption of a figure", "wdpipe cite fig3"),
            ("Write it as LaTeX to a file", "wdpipe cite fig3 --format latex > fig3-caption.tex"),
            ("Write a badge for a web page", "wdpipe cite fig3 --badge fig3-badge.svg"),
        ],
    ),
    (
        "wdpipe keys",
        &[
            ("Create a key of your own; `make` then signs with it", "wdpipe keys generate"),
            ("List your keys and the trusted ones", "wdpipe keys list"),
        ],
    ),
    (
        "wdpipe keys generate",
        &[("Create the key `default`", "wdpipe keys generate"), ("Create another one", "wdpipe keys generate cluster")],
    ),
    (
        "wdpipe keys list",
        &[
            ("List your keys and the trusted ones", "wdpipe keys list"),
            ("List those of another project", "wdpipe keys list --trust ../other/trust.toml"),
        ],
    ),
    (
        "wdpipe keys trust",
        &[
            (
                "Trust a colleague's key",
                "wdpipe keys trust ana \\\n    ed25519:5866666666666666666666666666666666666666666666666666666666666666",
            ),
            (
                "Trust it in another project",
                "wdpipe keys trust ana --trust ../other/trust.toml \\\n    ed25519:5866666666666666666666666666666666666666666666666666666666666666",
            ),
        ],
    ),
    (
        "wdpipe keys revoke",
        &[
            ("Revoke a key", "wdpipe keys revoke ana --reason 'lost with a laptop'"),
            ("Revoke it in another project", "wdpipe keys revoke ana --reason lost --trust ../other/trust.toml"),
        ],
    ),
    (
        "wdpipe keys sign",
        &[
            ("Sign your own results of a figure", "wdpipe keys sign fig3"),
            ("Also vouch for those of others", "wdpipe keys sign fig3 --all"),
        ],
    ),
    (
        "wdpipe cache",
        &[
            ("Print how large the cache is", "wdpipe cache stats"),
            ("Check and repair it", "wdpipe cache check --repair"),
            ("Show what can be removed", "wdpipe cache gc --dry-run"),
            ("Write a figure with all its results to a file", "wdpipe cache export fig3 fig3.wdpipe"),
        ],
    ),
    (
        "wdpipe cache stats",
        &[
            ("Print the size of everything", "wdpipe cache stats"),
            ("Count only figures of one profile", "wdpipe cache stats --profile smoke"),
        ],
    ),
    (
        "wdpipe cache du",
        &[
            ("Print the 20 largest stages", "wdpipe cache du"),
            ("Print the size of every figure", "wdpipe cache du --by figure --rows 0"),
        ],
    ),
    (
        "wdpipe cache check",
        &[
            ("Look for damage", "wdpipe cache check"),
            ("Recompute what is damaged or missing", "wdpipe cache check --repair"),
            ("Fetch it where possible", "wdpipe cache check --repair --from lab"),
        ],
    ),
    (
        "wdpipe cache gc",
        &[
            ("Show what would be removed", "wdpipe cache gc --dry-run"),
            ("Keep only what the smoke profile needs", "wdpipe cache gc --profile smoke"),
            ("Reduce the objects to 20 GB", "wdpipe cache gc --keep-bytes 20G"),
        ],
    ),
    (
        "wdpipe cache pin",
        &[
            ("Keep a figure with its weights", "wdpipe cache pin fig3 --reason 'submitted version'"),
            ("Keep one checkpoint", "wdpipe cache pin 'fig3/trunk[lr=0.1,seed=0]@5' --name best"),
        ],
    ),
    (
        "wdpipe cache unpin",
        &[
            ("Remove a pin; `wdpipe cache pins` lists them", "wdpipe cache unpin fig3"),
            ("Remove one in another cache", "wdpipe cache unpin fig3 --cache ../other/cache"),
        ],
    ),
    (
        "wdpipe cache pins",
        &[("List the pins", "wdpipe cache pins"), ("List them for a program", "wdpipe cache pins --json")],
    ),
    (
        "wdpipe cache catalogue",
        &[
            ("List the content of the cache", "wdpipe cache catalogue"),
            ("List that of another one", "wdpipe cache catalogue --cache /srv/www/cache"),
        ],
    ),
    (
        "wdpipe cache export",
        &[
            ("Write a figure with all its results", "wdpipe cache export fig3 fig3.wdpipe"),
            ("Write only its numbers", "wdpipe cache export fig3 fig3.wdpipe --numbers"),
            ("Send it through a pipe", "wdpipe cache export fig3 - | ssh host 'cat > fig3.wdpipe'"),
        ],
    ),
    (
        "wdpipe cache import",
        &[
            ("Check a file, and print what it would add", "wdpipe cache import fig3.wdpipe --dry-run"),
            ("Import it", "wdpipe cache import fig3.wdpipe"),
            ("Import it although nobody signed it", "wdpipe cache import fig3.wdpipe --accept unsigned"),
        ],
    ),
    (
        "wdpipe cache share",
        &[
            ("Make a cache for a group", "wdpipe cache share /srv/cache --group lab"),
            ("Repair its modes, and print JSON", "wdpipe cache share /srv/cache --group lab --json"),
        ],
    ),
    (
        "wdpipe cache stress-test",
        &[
            ("Test a network drive for a minute", "wdpipe cache stress-test /mnt/nfs/test --seconds 60"),
            ("Repeat a test with the same choices", "wdpipe cache stress-test /mnt/nfs/test --seed 7"),
        ],
    ),
    (
        "wdpipe bench",
        &[
            ("Measure everything", "wdpipe bench"),
            ("Measure training in 16 bits on a GPU", "wdpipe bench train --precision fp32,bf16 --device cuda"),
        ],
    ),
    (
        "wdpipe setup",
        &[
            ("Install libtorch, to train on the processor", "wdpipe setup"),
            ("Install it with the CUDA libraries, to train on a GPU", "wdpipe setup --cuda"),
        ],
    ),
    (
        "wdpipe doctor",
        &[
            ("Check this machine", "wdpipe doctor"),
            ("Check a node of the cluster too", "wdpipe doctor --executor slurm"),
        ],
    ),
    (
        "wdpipe completions",
        &[
            ("Complete words in this bash", "source <(wdpipe completions bash)"),
            ("Complete words in every zsh", "echo 'source <(wdpipe completions zsh)' >> ~/.zshrc"),
            ("Complete words in every fish", "wdpipe completions fish > ~/.config/fish/completions/wdpipe.fish"),
        ],
    ),
    (
        "wdpipe man",
        &[
            ("Read the page of the program", "wdpipe man | man -l -"),
            ("Write the pages of all commands", "wdpipe man ~/.local/share/man/man1"),
        ],
    ),
];

"""From raw files of a domain to a model of that domain and its scores, in one folder.

``data``: what was converted. ``mixed.json``: that and general data. ``recipe.py``: the run, which
``tilewise train`` takes too. ``run``: checkpoints, log, and in the end the model. ``answers`` and
``scores.json``: what the model said to the test questions, and how good that is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tilewise.domains.convert import META, TESTS, Converted, Domain, convert
from tilewise.domains.mixture import Mixing, mixed, read_meta, write_meta
from tilewise.domains.read import read_json
from tilewise.errors import ConfigError, DataError
from tilewise.eval.run import answered
from tilewise.eval.tasks.domains import TASKS
from tilewise.models.reader import Progress, Reader
from tilewise.recipes.domains import PUBLISHED, DomainRun, Method, domain_run
from tilewise.recipes.internvl import NewSize
from tilewise.settings import changed, with_options
from tilewise.shards.bad import BadConfig
from tilewise.train.config import TrainConfig

DATA: Final = "data"
MIXED: Final = "mixed.json"
RECIPE: Final = "recipe.py"
RUN: Final = "run"
ANSWERS: Final = "answers"
SCORES: Final = "scores.json"

_TEMPORAL: Final = "bddx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What to adapt, and how.

    ``model`` is what to begin with, "" for the published model of ``size``. ``general`` is a meta
    file of general data, None for none; ``mixing`` says how much of it, None for the published
    amount. ``options`` change settings of the run, such as ``optim.lr=2e-5``.
    """

    domain: Domain
    size: NewSize = "2B"
    method: Method = "full"
    model: str = ""
    general: Path | None = None
    mixing: Mixing | None = None
    options: tuple[str, ...] = ()


def prepare(
    job: Adaptation,
    raw: Path,
    out: Path,
    *,
    bad: BadConfig | None = None,
    progress: Progress | None = None,
) -> tuple[Converted, ...]:
    """Convert a folder of raw files, mix in general data, and write the recipe.

    Args:
        job: what to adapt, and how.
        raw: folder with the published files.
        out: gets the data, the mixture and the recipe.
        bad: how many records may be bad.
        progress: told (data set, records, 0).

    Raises:
        ConfigError, DataError: as ``domains.convert.convert`` and ``domains.mixture.mixed``, or
            settings that cannot hold.
    """
    check(job)
    made = convert(job.domain, raw, out / DATA, bad=bad, progress=progress)
    meta = read_meta(out / DATA / META, out)
    run = _run_of(job.domain, made)
    if job.general is not None:
        mixing = job.mixing or PUBLISHED[run].mixing
        meta = mixed(meta, read_meta(job.general, out), mixing)
    write_meta(out / MIXED, meta)
    _write(out / RECIPE, _recipe_text(job, run))
    return made


def check(job: Adaptation) -> None:
    """Raise ConfigError for settings of a run that cannot hold, before anything is converted."""
    run: DomainRun = job.domain
    with_options(domain_run(run, job.size, job.method), job.options)
    if job.mixing is not None and job.general is None:
        raise ConfigError(
            "how much general data to mix in is said, but not where it is; give a meta file of it "
            "(--general)."
        )


def recipe_of(
    run: DomainRun,
    size: NewSize,
    method: Method,
    *,
    meta: Path,
    model: str = "",
    options: Sequence[str] = (),
) -> TrainConfig:
    """The run of an adaptation; recipe files call it.

    Args:
        run, size, method: whose published numbers, of which model, and what learns.
        meta: the data.
        model: what to begin with, "" for the published model of that size.
        options: changes of settings, such as ``optim.lr=2e-5``.

    Raises:
        ConfigError: settings that cannot hold.
    """
    cfg = changed(domain_run(run, size, method), "data.meta", str(meta))
    if model:
        cfg = changed(cfg, "model.folder", model)
    return with_options(cfg, options)


def score(
    reader: Reader,
    out: Path,
    *,
    most: int | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, float]]:
    """Ask a reader the test questions of a prepared folder, and score what it says.

    Args:
        reader: the model.
        out: what ``prepare`` made; gets answers, what servers take, and the scores.
        most: questions to ask of each data set; None for all.
        progress: told ("questions", done, total).

    Returns:
        Scores by data set; a set that only a server can score has none.

    Raises:
        DataError, SourceError, PromptError: as ``eval.run.answered``.
    """
    folder = out / DATA
    scores: dict[str, dict[str, float]] = {}
    for test in _tests(folder / TESTS):
        task, name = TASKS[test["task"]], str(test["name"])
        file, root = folder / test["annotation"], folder / test["root"]
        rows = list(answered(reader, task, file, root, most=most, progress=progress))
        lines = [json.dumps({**row.record, "said": row.answer}, ensure_ascii=False) for row in rows]
        _write(out / ANSWERS / f"{name}.jsonl", "".join(f"{line}\n" for line in lines))
        if task.submitted is not None:
            told = json.dumps(task.submitted(rows), ensure_ascii=False, indent=2)
            _write(out / ANSWERS / f"{name}.submission.json", f"{told}\n")
        scores[name] = task.score(rows)
    _write(out / SCORES, json.dumps(scores, ensure_ascii=False, indent=2) + "\n")
    return scores


def _run_of(domain: Domain, made: Sequence[Converted]) -> DomainRun:
    """Driving with clips alone has numbers of its own."""
    learned = {one.name.partition("-")[0] for one in made if one.split == "train"}
    return "driving-temporal" if domain == "driving" and learned == {_TEMPORAL} else domain


def _tests(path: Path) -> list[Mapping[str, Any]]:
    tests = read_json(path)
    names = ("name", "task", "annotation", "root")
    is_list = isinstance(tests, list) and all(
        isinstance(test, Mapping) and test.keys() >= set(names) and test["task"] in TASKS
        for test in tests
    )
    if not is_list:
        raise DataError(f"{path}: is no list of test data; convert the raw files again.")
    return list(tests)


def _recipe_text(job: Adaptation, run: DomainRun) -> str:
    # a relative folder is meant from where the command ran, the recipe may be run from elsewhere
    model = str(Path(job.model).resolve()) if job.model and Path(job.model).is_dir() else job.model
    lines = (
        f'"""{run}: what was adapted; change it and give it to `tilewise train`."""',
        "",
        "from pathlib import Path",
        "",
        "from tilewise.recipes.adaptation import recipe_of",
        "from tilewise.train.config import TrainConfig",
        "",
        "",
        "def recipe() -> TrainConfig:",
        '    """The settings of the run."""',
        "    return recipe_of(",
        f"        {run!r},",
        f"        {job.size!r},",
        f"        {job.method!r},",
        f"        meta=Path(__file__).resolve().with_name({MIXED!r}),",
        f"        model={model!r},",
        f"        options={job.options!r},",
        "    )",
    )
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as err:
        raise DataError(f"{path}: cannot be written ({err.strerror}); make room.") from err
    finally:
        part.unlink(missing_ok=True)

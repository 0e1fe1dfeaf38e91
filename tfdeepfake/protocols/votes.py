"""Members and their votes (P0 Table I, arXiv number in docs/papers.md): hard, soft and adaptive, from saved scores.

A vote is taken over the scores of a video, so that networks of frames and of clips vote together. (`tfdeepfake
ensemble` writes a folder whose members vote over each sample: the same rules, one step earlier.) The adaptive vote's
weights are fitted on the members' validation scores, as there.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import estimates, metrics
from tfdeepfake.evaluation.aggregation import source_groups, video_scores
from tfdeepfake.evaluation.optimism import optimism
from tfdeepfake.files import read_json
from tfdeepfake.protocols import prepared
from tfdeepfake.protocols.cells import FAILED, Member, members_of
from tfdeepfake.protocols.figures import DIFFERENCE, Figure, of_level, write_tables
from tfdeepfake.protocols.roc import roc_plots
from tfdeepfake.protocols.work import Options, Reports, Work, Written, kind_of_data
from tfdeepfake.scoring.table import Table, select
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.training.ensemble import VOTES, fit_weights, validation_scores

ALONE = "alone"
METRICS = {"auc": ("", "AUC"), "log_loss": ("_log_loss", "log loss"), "accuracy_at_half": ("_accuracy", "accuracy")}
TOLD = "Video level, each figure with its 95 % interval by source, numbers of scored videos, and coverage."
PAIRED = "The best member is chosen on these very videos, which favours it; differences are paired."
# Of a vote between 0 and 1; the same as that of an ensemble of one rule.
HALF = 0.5


def votes(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """Every member alone, and every group of them by each vote.

    Args:
      models: run folders of `tfdeepfake train`.
      data: one prepared data set.
      options: `groups` {name: members}, all members together when there are none; `votes`.

    Raises:
      InputError: fewer than two members, or a group or vote that is not known.
    """
    members = members_of(models)
    names = [member.name for member in members]
    if len(members) < 2:
        raise InputError("--models", f"a vote needs two runs or more, got {len(members)}.")
    groups = dict(options.groups or {" + ".join(names): names})
    for group, wanted in groups.items():
        unknown = [name for name in wanted if name not in names]
        if unknown or len(wanted) < 2:
            problem = f"no model is named {unknown[0]}" if unknown else "it needs two members or more"
            raise InputError(
                "--groups", f"{group}: {problem}.", f"Models are {', '.join(names)}; OTHER=FOLDER renames."
            )
    chosen = tuple(options.votes or VOTES)
    if unknown := [vote for vote in chosen if vote not in VOTES]:
        raise InputError("--votes", f"needs some of {', '.join(VOTES)}, got {unknown[0]!r}.")
    cells = prepared.cells_of(members, list(data), options.data_dir, options.split, options.allow)
    cells = [_with_saved(cell, member, data[0], options) for cell, member in zip(cells, members, strict=True)]
    return Work(cells, lambda reports: _write(run_dir, members, groups, chosen, reports, options.split))


def _with_saved(cell, member, data, options):
    """The cell; where scores were written before for the same weights, data and split, it reads these."""
    path = None if options.allow else saved_scores(member, data, options.data_dir, options.split)
    if path is None:
        return cell
    version = member.recipe.data_version

    def read():
        rows = read_scores(path)
        told = {"version": version, "split": options.split, "trained_on": version, "differs": [], "scores": str(path)}
        return rows, told | {"score_notes": optimism(member.folder, rows, options.split, member.recipe, version)}

    return dataclasses.replace(cell, score=read, measure=lambda: 1.0)


def saved_scores(member: Member, data: str, data_dir: str | None, split: str) -> Path | None:
    """scores.csv of a run on its own data set, by `tfdeepfake evaluate` or a protocol that trained it; None if none.

    Args:
      member: of `cells.members_of`.
      data, data_dir, split: the prepared data set by name, where it lies, and the split.
    """
    from tfdeepfake.data.batches.prepared import open_data

    run = member.folder.parent
    version = open_data(data, data_dir).version
    if version != member.recipe.data_version:
        return None
    recipe, where = member.recipe.to_dict(), _absolute(data_dir)
    own, config = run / "evaluation" / split / "metrics.json", run / "config.json"
    for path in [own, *run.parent.parent.glob("cells/*/metrics.json")]:
        if not path.is_file() or not (path.parent / "scores.csv").is_file():
            continue
        report = read_json(path, "Delete the folder: it will be scored again.")
        # Data of one name and version may lie in several places, each with other videos.
        scored_on = report.get("facts", {})
        if path == own:
            scored_on = read_json(config) if config.is_file() else {"data_dir": ""}
        if _absolute(scored_on.get("data_dir")) != where:
            continue
        is_ours = report.get("weights_sha256", "none") == member.recipe.weights_sha256 and report.get("data") == version
        is_ours = is_ours and report.get("tta", "none") == "none" and not report["coverage"].get("excluded")
        in_cell = report.get("facts", {}).get("recipe") == recipe and report.get("version") == version
        if report.get("split") == split and (is_ours or in_cell):
            return path.parent / "scores.csv"
    return None


def _absolute(data_dir):
    return data_dir and str(Path(data_dir).expanduser().absolute())


def _write(run_dir, members, groups, chosen, reports: Reports, split) -> Written:
    by_name = {member.name: member for member in members}
    failed = {cell.model: report[FAILED] for cell, report in reports if FAILED in report}
    videos = {cell.model: _videos(run_dir / cell.folder, report) for cell, report in reports if FAILED not in report}
    figures, gaps = {metric: [] for metric in METRICS}, []
    for cell, report in reports:
        for metric in METRICS:
            if cell.model in failed:
                figures[metric].append(Figure(cell.model, ALONE, failed=failed[cell.model], metric=metric))
            else:
                figures[metric].append(of_level(cell.model, ALONE, report["levels"]["video"], metric=metric))
    gap_notes, told_weights = [], []
    for group, names in groups.items():
        if lost := [name for name in names if name in failed]:
            for metric in METRICS:
                figures[metric] += [
                    Figure(group, vote, failed=f"no scores of {', '.join(lost)}", metric=metric) for vote in chosen
                ]
            continue
        labels, table, sources, seen = _common([videos[name] for name in names])
        for vote in chosen:
            weights = _weights(vote, [by_name[name] for name in names])
            if isinstance(weights, str):
                for metric in METRICS:
                    figures[metric].append(Figure(group, vote, failed=weights, metric=metric))
                continue
            together = ((table >= HALF).sum(1) + HALF) / (len(names) + 1) if vote == "hard" else table @ weights
            if vote == "adaptive":
                told = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, weights, strict=True))
                told_weights.append(f"{group}: weights of the adaptive vote, from validation scores: {told}.")
            level = _level(labels, together, sources, seen)
            for metric in METRICS:
                figures[metric].append(of_level(group, vote, level, metric=metric))
            gap, note = _against_best(group, vote, names, labels, table, together, sources, seen)
            gaps.append(gap)
            gap_notes.append(note)
    title = f"Members and their votes, on {kind_of_data(reports)} ({split})"
    sheets = [
        write_tables(
            run_dir,
            f"votes{suffix}",
            f"{title}: {shown}",
            [*(gap_notes if metric == "auc" else ()), *told_weights, TOLD, *prepared.score_notes(reports)],
            "model",
            figures[metric],
        )
        for metric, (suffix, shown) in METRICS.items()
    ]
    if gaps:
        text = f"{title}: {DIFFERENCE}AUC from a vote's best member"
        sheets.insert(1, write_tables(run_dir, "votes_differences", text, [PAIRED, TOLD], "vote of", gaps))
    every = [*(one for some in figures.values() for one in some), *gaps]
    return Written(sheets, every, roc_plots(run_dir, reports))


def _videos(folder: Path, report: dict) -> Table:
    cuts = report["thresholds"]
    rows = read_scores(folder / "scores.csv")
    return video_scores(rows, cuts["video_rule"], cuts["temperature"], report["unit"], cuts["faces_rule"])


def _common(videos):
    """(labels [V], scores [V, M], sources [V], {"scored", "videos"}) of the videos that all members scored."""
    at = []
    for one in videos:
        keys = zip(one["data_set"], one["method"], one["video"], strict=True)
        usable = (one["label"] >= 0) & np.isfinite(one["score"])
        at.append({key: number for number, key in enumerate(keys) if usable[number]})
    shared = sorted(set.intersection(*map(set, at)))
    chosen = [select(one, np.array([where[key] for key in shared], int)) for one, where in zip(videos, at, strict=True)]
    _, sources = np.unique(source_groups(chosen[0])[0], return_inverse=True)
    scores = np.stack([one["score"] for one in chosen], axis=1)
    every = {key for one in videos for key in zip(one["data_set"], one["method"], one["video"], strict=True)}
    return chosen[0]["label"], scores, sources, {"scored": len(shared), "videos": len(every)}


def _weights(vote, members):
    """Weights of the members [M]; why there are none, where their validation scores are missing."""
    if vote != "adaptive":
        return np.full(len(members), 1 / len(members))
    recipes = [member.recipe for member in members]
    try:
        labels, probabilities = validation_scores([member.folder for member in members], recipes)
    except InputError as error:
        return str(error)
    return fit_weights(labels, probabilities, np.array([recipe.data.input_type == "clip" for recipe in recipes]))


def _level(labels, scores, sources, seen):
    """What `of_level` reads, of votes."""
    level = metrics.measure(labels, scores, HALF)
    level["intervals"], reasons = metrics.intervals(labels, scores, sources, HALF)
    level["undefined"] |= {f"interval of {name}": why for name, why in reasons.items() if level[name] is not None}
    return level | {"sources": len(np.unique(sources)), "coverage": seen}


def _against_best(group, vote, names, labels, table, together, sources, seen):
    """(difference of AUC from the best member on the same videos, that in words)."""
    on, metric = vote, f"{DIFFERENCE}auc"
    fake = int((labels == 1).sum())
    counts = {"fake": fake, "real": len(labels) - fake, "sources": len(np.unique(sources)), **seen}
    if not 0 < fake < len(labels):
        return Figure(group, on, **counts, remark="needs both classes", metric=metric), f"{group}, {vote}: one class."
    alone = [estimates.auc(labels, column, sources) for column in table.T]
    best = int(np.argmax([one.value for one in alone]))
    gap = estimates.difference(estimates.auc(labels, together, sources), alone[best])
    figure = Figure(
        group, on, gap["difference"], gap["interval"], **counts, metric=metric, remark=f"from {names[best]}"
    )
    if gap["interval"] is None:
        word = "no interval"
    elif gap["interval"][1] < 0:
        word = "worse than it, beyond the interval"
    else:
        word = (
            "better than it, beyond the interval" if gap["interval"][0] > 0 else "not worse than it beyond the interval"
        )
    return figure, (
        f"{group}, {vote}: AUC {gap['difference']:+.3f} from its best member here, {names[best]} (chosen on these very "
        f"videos, which favours it): {word}."
    )

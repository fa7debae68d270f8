"""Files of human labels: sheets, each with its key."""

from pathlib import Path

from trustdag.errors import UserError

KEY_SUFFIX = ".key.csv"


def sheets(path: Path) -> list[Path]:
    """The sheets of a study's `labels`: the file, or those of the folder. Raises UserError if there is none."""
    if path.is_dir():
        files = sorted(file for file in path.glob("*.csv") if not file.name.endswith(KEY_SUFFIX))
        if not files:
            raise UserError(f"{path}: no sheet of labels (.csv) in this folder; make one with `trustdag label`")
        return files
    if not path.is_file():
        raise UserError(f"{path}: no such file; make it with `trustdag label`, or remove `labels` from the study")
    return [path]


def key_of(sheet: Path) -> Path:
    """The path of a sheet's key."""
    return sheet.with_name(sheet.name.removesuffix(".csv") + KEY_SUFFIX)


def files(path: Path) -> list[Path]:
    """All files that the labels are read from."""
    return [file for sheet in sheets(path) for file in (sheet, key_of(sheet))]

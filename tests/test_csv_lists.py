"""CSV files as people write them: one reader for predict, prepare and evaluate."""

import pytest

from tfdeepfake.csv_lists import FILE_NAMES, label_of, listed_path, read_list, split_of
from tfdeepfake.errors import InputError
from tfdeepfake.scoring.table_file import read_videos

COLUMNS = {"file": FILE_NAMES, "label": (), "split": ()}
ROWS = [("real/a b.mp4", "REAL", "val"), ("fake/a,b.mp4", "fake", "")]


def read(path):
    return [tuple(cells.values()) for _, cells in read_list(path, COLUMNS, ("file", "label"), "Do it so.")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_whatever_wrote_it(tmp_path, separator, encoding, end):
    lines = ["File, label ,note,SPLIT", '"real/a b.mp4"  , REAL ,x,val', '  "fake/a,b.mp4",fake,"",']
    # Only commas between cells are separators.
    text = end.join(line.replace("a,b", "a\0b").replace(",", separator).replace("a\0b", "a,b") for line in lines)
    (tmp_path / "a.csv").write_bytes((text + end + end).encode(encoding))
    assert read(tmp_path / "a.csv") == ROWS


def test_every_cell_in_quotes_and_the_separator_told(tmp_path):
    text = 'sep=;\n"path";"label";"split"\n"real/a b.mp4";"REAL";"val"\n"fake/a,b.mp4";"fake"\n'
    (tmp_path / "a.csv").write_text(text)
    assert read(tmp_path / "a.csv") == ROWS


@pytest.mark.parametrize("name", FILE_NAMES)
def test_other_names_of_the_file(tmp_path, name):
    (tmp_path / "a.csv").write_text(f"{name.upper()},label\nx.mp4,0\n")
    assert read(tmp_path / "a.csv") == [("x.mp4", "0", "")]


def test_lines_are_counted_as_an_editor_shows_them(tmp_path):
    (tmp_path / "a.csv").write_text('\nfile,label\n\n"a\nb",0\n,,\nc,1\n')
    assert [line for line, _ in read_list(tmp_path / "a.csv", COLUMNS)] == [5, 7]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b" \n", "is empty"),
        (b"file\nx\n", "line 1: the column label is missing; there is file"),
        (b"name;kind\n", "line 1: the columns file and label are missing; there is name, kind"),
        (b"file,label,Label\n", "line 1: the column label is there twice"),
        (b"path,filename,label\n", "line 1: the columns filename and path are one"),
        (b"file,label\na,0,,x\n", "line 2: has more columns"),
        (b'file,label\n"a,0\n', "is not a CSV file"),
        (b"file,label\n\xe9,0\n", "is not UTF-8"),
        (b"file,label\na\0.mp4,0\n", "is no text"),
        (b"PK\3\4workbook", "is a spreadsheet program's own file"),
    ],
)
def test_what_can_be_wrong(tmp_path, text, problem):
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(InputError, match=problem) as caught:
        read(tmp_path / "a.csv")
    assert caught.value.subject == str(tmp_path / "a.csv") and caught.value.remedy


def test_a_list_that_cannot_be_opened(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read(path)


def test_words():
    assert [label_of("a.csv", 1, text) for text in ("Real", "FAKE", "0", "1", "1.0")] == [0, 1, 0, 1, 1]
    assert [split_of("a.csv", 1, text) for text in ("val", "Test", "")] == ["validation", "test", None]
    with pytest.raises(InputError, match="line 7: label 'forged' is unknown"):
        label_of("a.csv", 7, "forged")
    with pytest.raises(InputError, match="line 7: split 'dev' is unknown"):
        split_of("a.csv", 7, "dev")


def test_paths(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").touch()
    for text in ("real/a.mp4", "real\\a.mp4", "./real/a.mp4", str(tmp_path / "real" / "a.mp4")):
        assert listed_path(tmp_path / "labels.csv", text).samefile(tmp_path / "real" / "a.mp4")
    for stored, text in (("u\u0308.mp4", "\u00fc.mp4"), ("\u00e9.mp4", "e\u0301.mp4")):
        (tmp_path / "real" / stored).touch()
        assert listed_path(tmp_path / "labels.csv", f"real\\{text}").name == stored
    for text in ("b.mp4", "x" * 5000, "a\0b"):
        assert not listed_path(tmp_path / "labels.csv", text).name.startswith("a.mp4")


def test_the_videos_to_leave_out_come_through_the_same_reader(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfVideo;Method;Data_Set\r\na.mp4;swap;mine\r\n")
    assert read_videos(tmp_path / "a.csv") == {("mine", "swap", "a.mp4")}
    (tmp_path / "a.csv").write_text("video,method\na.mp4,swap\n")
    with pytest.raises(InputError, match="the column data_set is missing.*audit"):
        read_videos(tmp_path / "a.csv")

from internal_methods.nodes.examples import SHIPPED, copy_examples


def test_missing_examples_are_copied_and_none_is_overwritten(tmp_path):
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    names = sorted(path.relative_to(SHIPPED).as_posix() for path in files)
    assert any("/" in name for name in names)  # folders of pictures among them
    folder = tmp_path / "internal_methods"
    folder.mkdir()
    (folder / names[0]).write_text("the user's own")
    copy_examples(tmp_path)
    copied = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(folder).as_posix() for path in copied) == names
    assert (folder / names[0]).read_text() == "the user's own"
    assert (folder / names[1]).read_bytes() == (SHIPPED / names[1]).read_bytes()


def test_an_input_folder_that_cannot_be_written_is_only_reported(tmp_path, caplog):
    (tmp_path / "input").write_text("a file where the folder should be")
    copy_examples(tmp_path / "input")
    assert "could not be copied" in caplog.text

from internal_methods.nodes.examples import SHIPPED, copy_examples


def test_missing_examples_are_copied_and_none_is_overwritten(tmp_path):
    names = sorted(path.name for path in SHIPPED.iterdir())
    folder = tmp_path / "internal_methods"
    folder.mkdir()
    (folder / names[0]).write_text("the user's own")
    copy_examples(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / names[0]).read_text() == "the user's own"
    assert (folder / names[1]).read_bytes() == (SHIPPED / names[1]).read_bytes()


def test_an_input_folder_that_cannot_be_written_is_only_reported(tmp_path, caplog):
    (tmp_path / "input").write_text("a file where the folder should be")
    copy_examples(tmp_path / "input")
    assert "could not be copied" in caplog.text

"""Reading workflow files of both formats."""

import pytest

import canvas
from internal_methods.headless.errors import UserError
from internal_methods.headless.run import descriptions, node_classes
from internal_methods.headless.workflow import Link, load, read, widget_names


@pytest.fixture(scope="module")
def describe():
    return descriptions(node_classes())


def wired(node: dict, slot: str, link: int | None, kind: str = "IMAGE") -> dict:
    return node | {"inputs": [{"name": slot, "type": kind, "link": link}]}


def load_image(id: int, links: list[int], **more) -> dict:
    outputs = [{"name": "IMAGE", "type": "IMAGE", "links": links}]
    return {
        "id": id,
        "type": "LoadImage",
        "outputs": outputs,
        "widgets_values": ["a.png", "image"],
    } | more


def test_the_canvas_format_gives_the_same_graph_as_the_api_format(describe):
    drawn = read(canvas.invert_and_save(), describe)
    exported = read(drawn.prompt(), describe)
    assert exported.nodes == drawn.nodes
    assert drawn.prompt()["3"] == {
        "inputs": {"images": ["2", 0], "filename_prefix": "inverted"},
        "class_type": "SaveImage",
        "_meta": {"title": "Result"},
    }


def test_what_the_canvas_adds_to_show_previews_is_left_out(describe):
    plain = read(canvas.invert_and_save(), describe).prompt()
    shown = {id: node | {"inputs": dict(node["inputs"])} for id, node in plain.items()}
    shown["1"]["inputs"] |= {"video-preview": "", "$$canvas-image-preview": "x"}
    assert read(shown, describe).prompt() == plain
    text = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0], "preview": "as shown"}}
    assert read({"1": text}, describe).nodes["1"].inputs == {"source": Link("1", 0)}


def test_links_as_objects_are_read_too(describe):
    listed = canvas.invert_and_save()
    objects = canvas.invert_and_save()
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    objects["links"] = [dict(zip(keys, link, strict=True)) for link in objects["links"]]
    assert read(objects, describe).nodes == read(listed, describe).nodes


def test_notes_and_muted_nodes_are_left_out(describe):
    document = canvas.canvas(
        [
            {"id": 1, "type": "Note", "widgets_values": ["hello"]},
            {"id": 2, "type": "MarkdownNote", "widgets_values": ["# hello"]},
            load_image(3, [], mode=2),
            load_image(4, [1]),
            wired({"id": 5, "type": "PreviewImage"}, "images", 1),
        ],
        [[1, 4, 0, 5, 0, "IMAGE"]],
    )
    assert set(read(document, describe).nodes) == {"4", "5"}


def test_what_a_muted_node_fed_has_nothing(describe):
    document = canvas.canvas(
        [load_image(1, [1], mode=2), wired({"id": 2, "type": "PreviewImage"}, "images", 1)],
        [[1, 1, 0, 2, 0, "IMAGE"]],
    )
    assert read(document, describe).nodes["2"].inputs == {}


def test_reroutes_are_followed(describe):
    reroute = {"type": "Reroute", "outputs": [{"name": "", "type": "IMAGE", "links": [2]}]}
    document = canvas.canvas(
        [
            load_image(1, [1]),
            wired({"id": 2} | reroute, "", 1, "*"),
            wired({"id": 3} | reroute, "", 2, "*"),
            wired({"id": 4, "type": "PreviewImage"}, "images", 3),
        ],
        [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 3, 0, "*"], [3, 3, 0, 4, 0, "IMAGE"]],
    )
    assert read(document, describe).nodes["4"].inputs == {"images": Link("1", 0)}


def test_a_bypassed_node_passes_on_its_input_of_the_same_type(describe):
    inputs = [
        {"name": "mask", "type": "MASK", "link": 1},
        {"name": "image1", "type": "IMAGE", "link": 2},
        {"name": "image2", "type": "IMAGE", "link": None},
    ]
    document = canvas.canvas(
        [
            load_image(1, [2]),
            {"id": 2, "type": "ImageBatch", "mode": 4, "inputs": inputs},
            wired({"id": 3, "type": "PreviewImage"}, "images", 3),
        ],
        [[1, 1, 1, 2, 0, "MASK"], [2, 1, 0, 2, 1, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"]],
    )
    assert read(document, describe).nodes["3"].inputs == {"images": Link("1", 0)}


def test_a_primitive_gives_its_value_to_the_widget(describe):
    scale = {
        "id": 2,
        "type": "ImageScale",
        "inputs": [
            {"name": "image", "type": "IMAGE", "link": 1},
            {"name": "width", "type": "INT", "link": 2, "widget": {"name": "width"}},
        ],
        "widgets_values": ["bilinear", 512, 512, "disabled"],
    }
    document = canvas.canvas(
        [
            load_image(1, [1]),
            scale,
            {"id": 3, "type": "PrimitiveNode", "widgets_values": [64, "fixed"]},
        ],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 3, 0, 2, 1, "INT"]],
    )
    inputs = read(document, describe).nodes["2"].inputs
    assert (inputs["width"], inputs["height"]) == (64, 512)


def test_the_seeds_extra_widget_is_skipped():
    info = {
        "input": {
            "required": {
                "image": ("IMAGE", {}),
                "seed": ("INT", {"control_after_generate": True}),
                "mode": (["a", "b"],),
                "wired": ("FLOAT", {"forceInput": True}),
            },
            "optional": {"amount": ("FLOAT", {})},
        }
    }
    assert widget_names(info) == ["seed", None, "mode", "amount"]


def test_a_subgraph_is_refused_with_a_way_out(describe):
    document = canvas.canvas([{"id": 7, "type": "a1-b2", "title": "My Part"}], [])
    document["definitions"] = {"subgraphs": [{"id": "a1-b2"}]}
    with pytest.raises(UserError, match=r"'My Part' \(id 7\) is a subgraph.*[Uu]npack"):
        read(document, describe)


def test_an_unknown_class_is_named_with_its_node(describe):
    document = canvas.canvas([{"id": 7, "type": "KSamplerAdvanced", "title": "Sampler"}], [])
    with pytest.raises(UserError, match=r"'Sampler' \(id 7\) is of the class 'KSamplerAdvanced'"):
        read(document, describe)


def test_a_link_that_leads_nowhere_is_named(describe):
    document = canvas.invert_and_save()
    document["links"].pop()
    with pytest.raises(UserError, match="'Result'.*input images.*link 2 leads nowhere"):
        read(document, describe)


def test_wrapped_lists_and_bad_links_of_the_api_format(describe):
    entry = {"class_type": "PreviewImage", "inputs": {"images": {"__value__": [1, 2, 3]}}}
    assert read({"1": entry}, describe).nodes["1"].inputs == {"images": [1, 2, 3]}
    entry["inputs"]["images"] = ["1", 0, 5]
    with pytest.raises(UserError, match="no link"):
        read({"1": entry}, describe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"nodes": [', "no complete JSON file.*line 1"),
        ("[1, 2]", "no workflow"),
        ('{"a": 1}', "no workflow"),
        ("{}", "no workflow"),
    ],
)
def test_a_file_that_is_no_workflow(tmp_path, text, message):
    path = tmp_path / "job.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load(path)


def test_a_missing_and_a_binary_file(tmp_path):
    with pytest.raises(UserError, match="there is no workflow"):
        load(tmp_path / "none.json")
    (tmp_path / "job.json").write_bytes(b"\x89PNG\xff")
    with pytest.raises(UserError, match="not a text file"):
        load(tmp_path / "job.json")


def test_a_damaged_canvas_is_refused_in_words(describe):
    document = canvas.invert_and_save()
    del document["nodes"][0]["type"]
    with pytest.raises(UserError, match="damaged"):
        read(document, describe)

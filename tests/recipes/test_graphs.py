"""Graphs of layers in recipes: what is refused, and the largest ones, which can be written and read (case B14)."""

import pytest
from pydantic import ValidationError

from tinysight.recipes.catalog import MAX_LAYERS, MAX_RECIPE_BYTES
from tinysight.recipes.layers import MAX_CONNECTIONS, Graph, Reshape
from tinysight.recipes.loading import dump_recipe, load_recipe
from tinysight.recipes.schema import Recipe

RELU = {"kind": "activation", "function": "relu"}


def node(name, *inputs, layer=None):
    return {"name": name, "inputs": list(inputs), "layer": layer or RELU}


ADD, SUBTRACT = {"kind": "add"}, {"kind": "subtract"}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([], "at least 1 item"),
        ([node("a", "input"), node("a", "a")], "two nodes have the name a. Give each node another name"),
        ([node("input", "input")], "two nodes have the name input"),
        ([node("a", "b"), node("b", "input")], "node a takes b, which is no node before it. Correct the name"),
        ([node("a", "a")], "node a takes a, which is no node before it"),
        ([node("a", "input"), node("b", "input")], "node a is not used. Remove it"),
        ([node("a", "input", "input")], r"node a \(activation\) has 2 inputs. Give it one"),
        ([node("a", "input", "input", "input", layer=SUBTRACT)], r"node a \(subtract\) has 3 inputs. Give it two"),
        ([node("a")], "at least 1 item"),
        ([node("a b", "input")], "should match pattern"),
        ([node("../a", "input")], "should match pattern"),
        ([node("a", "input", layer={"kind": "graph", "nodes": [node("b", "input")]})], "does not match any of the"),
        ([node("a", "input", layer={"kind": "residual", "layers": [RELU]})], "does not match any of the"),
    ],
)
def test_graph_that_cannot_be_run_is_refused(nodes, message):
    with pytest.raises(ValidationError, match=message):
        Graph(nodes=nodes)


def test_graph_takes_any_order_in_which_each_node_follows_its_inputs():
    nodes = [node("a", "input"), node("b", "input"), node("c", "b"), node("d", "a", "c", "input", "a", layer=ADD)]
    assert [part.name for part in Graph(nodes=nodes).nodes] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("shape", [(0, 1, 1), (-1, -1, 2), (-2, 1, 1), (1, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValidationError):
        Reshape(shape=shape)


def recipe_of(nodes):
    layers = [{"kind": "graph", "nodes": nodes}, {"kind": "dense", "outputs": 10}]
    return Recipe.model_validate({"name": "mine", "model": {"architecture": "layers", "layers": layers}})


def test_largest_graph_can_be_written_and_read(tmp_path):
    longest = {"kind": "convolution", "channels": 65_536, "kernel": (64, 64), "stride": (64, 64), "groups": 65_536}
    longest |= {"dilation": (64, 64), "padding": "same", "bias": False}
    names = [f"{number:_>63}a"[::-1] for number in range(MAX_LAYERS)]
    half = MAX_LAYERS // 2
    nodes = [node(names[0], "input", layer=longest)]
    nodes += [node(names[n], names[n - 1], layer=longest) for n in range(1, half)]
    nodes += [node(names[n], *names[n - 6 : n], names[n - 1], layer={"kind": "concatenate"}) for n in range(half, 1000)]
    recipe = recipe_of(nodes)
    path = tmp_path / "large.toml"
    path.write_text(dump_recipe(recipe))
    assert path.stat().st_size < MAX_RECIPE_BYTES
    assert load_recipe(str(path)) == recipe


def test_more_nodes_or_connections_than_can_be_written_are_refused():
    chain = [node("n0", "input"), *(node(f"n{n}", f"n{n - 1}") for n in range(1, MAX_LAYERS + 1))]
    with pytest.raises(ValidationError, match="at most 1000 items"):
        recipe_of(chain)
    wide = [node(f"n{n}", *[f"n{n - 1}" if n else "input"] * 100, layer=ADD) for n in range(MAX_CONNECTIONS // 100 + 1)]
    with pytest.raises(ValidationError, match=r"the nodes have more than 4,000 inputs\. Use fewer"):
        recipe_of(wide)

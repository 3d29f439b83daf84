"""Tables as text and as HTML."""

from xml.etree import ElementTree

from recsys.tables import aligned, html_table

ROWS = [["name", "a", "b"], ["<x> & y", "1", "22"]]


def test_text():
    assert aligned(ROWS) == "name     a   b\n<x> & y  1  22"


def test_html():
    table = ElementTree.fromstring(html_table(ROWS))
    assert [[cell.text for cell in row] for row in table] == ROWS
    assert [[cell.tag for cell in row] for row in table] == [["th"] * 3, ["td"] * 3]
    sides = [cell.get("style").split(";")[0].split(":")[1] for cell in table[1]]
    assert sides == ["left", "right", "right"]
    plain = ElementTree.fromstring(html_table(ROWS, headed=False, numbers=False))
    assert {cell.tag for row in plain for cell in row} == {"td"}
    assert "right" not in html_table(ROWS, numbers=False)

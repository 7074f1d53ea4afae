"""The grammar of SMILES against molecules as graphs: every short text, and texts as people write them."""

import pytest

from dllm import LLM, Grammar, GrammarError, SamplingParams
from dllm.grammars.frontends import smiles
from tests.references.smiles import TWICE, Molecule, fault

GRAMMAR = Grammar.builtin("smiles")
MOLECULES = {
    "many digits": "c1ccc(cc1)-c2ccc(cc2)-c3ccc(cc3)-c4ccc(cc4)-c5ccc(cc5)-c6ccccc6",
    "digits that stay open": "C1C2C3C4C5C6C1C2C3C4C5C6",
    "beyond nine": "C%12CC9CC%12C9",
    "cubane": "C12C3C4C1C5C2C3C45",
    "porphyrin": "c1cc2cc3ccc([nH]3)cc4ccc([nH]4)cc5nc(cc1n2)cc5",
    "a fused closure": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "a ring opened and closed at one atom": "C1CC21CC2",
    "azulene": "c1cccc2cccc2c1",
    "a spiro atom": "C1CCC2(CC1)OCCO2",
    "a double bond at a digit": "C=1CCCCC1",
    "nitro": "CN(=O)=O",
    "azide": "CN=[N+]=[N-]",
    "perchloric acid": "OCl(=O)(=O)=O",
    "dioxide": "O=S1(=O)NC(=O)c2ccccc21",
    "pyrylium": "c1cc[o+]cc1",
    "cyclopentadienyl": "[cH-]1cccc1.[Fe+2]",
}
NONE = {
    "an open ring": "C1CC",
    "a ring of two": "C1C1",
    "a ring of two behind a branch": "C1(C)C1",
    "a ring of two in a branch": "CC1(C1)C",
    "a ring of one": "C11",
    "aromatic, in no ring": "Cc",
    "aromatic, five carbons": "c1cccc1",
    "pyrrole without H": "n1cccc1",
    "six and a double bond": "c1ccccc1=O",
    "a bond too many": "CC(C)(C)(C)C",
    "a ring too many": "FC1CF1",
    "too many H": "[CH5]",
    "across a dot": "C1.C1",
}


@pytest.mark.parametrize("text", MOLECULES.values(), ids=MOLECULES)
def test_molecules_that_people_write(text):
    assert fault(text) is None or "Cl" in text
    assert GRAMMAR.accepts(text), GRAMMAR.explain(text)


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_what_is_none(text):
    assert not GRAMMAR.accepts(text)


SHORT = {"Cc1(=)": 4, "C12()": 5, "cn12": 6, "co1=O": 5}
LONGER = {"Cc1(=)": 6, "C12()": 7, "cn12": 8, "co1=O": 6}
"""Some 33,000 texts, which take minutes."""


@pytest.mark.parametrize(
    ("letters", "size", "least"),
    [
        *((letters, size, 1) for letters, size in SHORT.items()),
        *(pytest.param(letters, size, 51, marks=pytest.mark.full) for letters, size in LONGER.items()),
    ],
)
def test_every_short_text_is_judged_as_by_its_graph(letters, size, least):
    """What breaks off may go on; what is wrong otherwise stays wrong, and is not gone on with."""
    texts, accepted = list(letters), 0
    while texts:
        text = texts.pop()
        found, wrong = GRAMMAR.accepts(text), fault(text)
        assert not found or wrong in (None, TWICE), (text, wrong)
        assert found or wrong is not None or _left_out(text), text
        accepted += found
        if len(text) < size and Molecule(text).fault in (None, "it breaks off"):
            texts += [text + letter for letter in letters]
    assert accepted >= least


def _left_out(text):
    """Whether a double bond is written between two atoms of a ring, one of them aromatic; RDKit takes some of these."""
    molecule = Molecule(text)
    bonds = [
        (one, molecule.atoms[one].bonds[two]) for pair in molecule.in_rings() for one in pair for two in pair - {one}
    ]
    return any(order == 2 and molecule.atoms[one].aromatic for one, order in bonds)


def test_a_given_text_brings_its_own_rings():
    """Holes may open rings 1 to 4, and others that are open where they are in the text."""
    common = smiles.common_rules()
    assert smiles.rules_like("c1ccccc1") is common is smiles.rules_like("")
    assert smiles.rules_like("C7CC7") is not common
    llm = LLM("tiny")
    for document in [
        "C7CC<mask:3>CC7",
        "c1ccc<mask:6>",
        "C1C2C3C4C5CC<mask:4>C1C2C3C4C5",
        "C1CC(<mask:3>)C1.C%11<mask:2>C%11",
    ]:
        text = llm.infill(document, SamplingParams(grammar=GRAMMAR)).text
        assert fault(text) is None, text


def test_what_cannot_be_closed_is_an_error_before_the_first_forward():
    with pytest.raises(GrammarError, match="smiles"):
        LLM("tiny").infill("C1CCC.<mask:1>C", SamplingParams(grammar=GRAMMAR))

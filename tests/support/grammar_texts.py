"""Texts that people write, and some that are wrong, for the built-in grammars to tell apart."""

JSON = [
    "null",
    " [1, -0, 0.5, 1e10, 2E-3, -12.25e+2]\r\n",
    '{"name": "Ada", "tags": ["x", "y"], "nested": {"empty": {}, "list": []}, "ok": true, "no": false}',
    '"\\u00e9\\n\\\\ \\"quoted\\" \\/ \U0001f600"',
    '[[[[]]], {"a": {"b": [null, {"c": ""}]}}]',
]
NOT_JSON = [
    "",
    "[1,]",
    "{'a': 1}",
    "01",
    "1.",
    ".5",
    "+1",
    '"\t"',
    '"\\x41"',
    "tru",
    "nul l",
    "[1 2]",
    '{"a" 1}',
    "\ufeff1",
]

SQL = [
    "SELECT * FROM users LIMIT 10 OFFSET 20",
    "select name, count(*) as n from people p where age >= 18 and city = 'Bonn' group by name having count(*) > 1;",
    "SELECT a.id, b.total * 1.19 FROM orders AS a LEFT JOIN bills b ON a.id = b.k ORDER BY 2 DESC, a.id LIMIT 9",
    "SELECT DISTINCT lower(x) || '''' FROM t WHERE x LIKE '%a_' OR x NOT IN (SELECT y FROM u) -- done",
    "SELECT CASE WHEN a IS NULL THEN 0 ELSE CAST(a AS integer) END FROM (SELECT -b a FROM t WHERE b BETWEEN 1 AND 3)",
    'SELECT "odd name" FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k) UNION ALL SELECT 2 /* two */ FROM v',
]
NOT_SQL = [
    "",
    "SELECT",
    "SELECT FROM t",
    "SELECT a FROM",
    "SELECT 'a FROM t",
    "DELETE FROM t",
    "SELECT a b c FROM t",
    "select 1from t",
]

SMILES = {
    "water": "O",
    "ethanol": "CCO",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "L-alanine": "C[C@H](N)C(=O)O",
    "nicotine": "CN1CCC[C@H]1c2cccnc2",
    "sodium chloride": "[Na+].[Cl-]",
    "vanillin": "O=Cc1ccc(O)c(OC)c1",
    "trans-difluoroethene": "F/C=C/F",
    "glucose": "OC[C@@H](O1)[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1(O)",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "penicillin G": "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O",
    "heavy water": "[2H]O[2H]",
    "ferrocene-like": "[CH-]1C=CC=C1.[CH-]1C=CC=C1.[Fe+2]",
    "large ring": "C%12CCCCC%12",
    "methyl cyanide": "CC#N",
}
NOT_SMILES = ["", "C C", "C(", "C)", "C==C", "[C", "C[]", "(C)C", "C.", "=C", "1CC1", "Q", "C%1", "[Xx]"]

PYTHON = [
    "1 + 2 * (3 - -4) ** 2 // 5",
    "[x * x for x in range(10) if x % 2 == 0 if x]",
    "{'a': 1, **other, 'b': [None, True]}.get(key, default)",
    "lambda a, b=1, *args, **kwargs: a if b else not c",
    'f(x, *y, key=b"\\x00", **z)[1:2, ::-1].name("s" u"t" r"\\d")',
    "a not in b and c is not None or d <= e < f",
    "{*a, 1}, (*b, 2), {k: v for k, v in items}, (), (x,), 0x_ff + 1_000.5e-3j",
    "sum(i for i in x)",
]
NOT_PYTHON = [
    "",
    "1if x else y",
    "a b",
    "x = 1",
    "f(a=1, 2)",
    "a + not b",
    '""""',
    "(*a)",
    "[1,,2]",
    "lambda x=1, y: 0",
    "0or 1",
    "for",
]

ARITHMETIC = ["1", "1+2*3", "-(4.5 / +0.25) - --7", "((1))"]
NOT_ARITHMETIC = ["", "1+", "01", "1 2", "(1", "1.", "*2", "1\n"]

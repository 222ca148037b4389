"""Words that the reading of plans knows: suffixes of files, and words that say nothing about an issue."""

_SOURCE_SUFFIXES = """
.py .pyi .pyx .js .jsx .ts .tsx .mjs .cjs .vue .svelte .go .rs .java .kt .kts .scala .rb .php .cs
.fs .cpp .cc .cxx .hpp .hh .swift .m .mm .ex .exs .erl .hs .ml .clj .lua .pl .sh .bash .ps1 .sql
.proto .tf .css .scss .html .md .rst .dart .zig .nim .jl .gradle
"""
_OTHER_SUFFIXES = """
.c .h .r .d .json .yaml .yml .toml .ini .cfg .txt .xml .lock .env .conf .csv .svg .bat .mk .cmake
.properties
"""
_STOPWORDS = """
about after again all also although always and another any are because been before being between
both but can cannot could did does doesn doing don done during each either else even ever every few
for from get gets give given got had has have having here hers his how however into its itself just
keep kind like made make makes many may maybe might more most much must need needs never nothing not
now off only once other our out over own please rather really same seem seems shall should since
some something still such sure take than that the their them then there these they thing this those
though through too under until upon use used using very want was way well were what when where
whether which while who whom whose why will with within without would yes yet you your aber alle
auch beim bitte dass dem den der des die dies diese dieser doch eine einem einen einer eines haben
hier immer kann kein keine muss nach nicht noch oder sein sich sind soll sollte und vom von wenn
werden wird avec cette comme dans des elle est les leur mais nous par pas pour que qui sans ses sont
sur tout une vous como con cuando del desde donde ella esta este esto hay los las mas para pero por
porque que ser sin sobre una
"""

SOURCE_SUFFIXES = frozenset(_SOURCE_SUFFIXES.split())

OTHER_SUFFIXES = frozenset(_OTHER_SUFFIXES.split())
"""Suffixes that also end ordinary words and attributes, so they need a directory or a line number to mean a file."""

STOPWORDS = frozenset(_STOPWORDS.split())
"""Of English, German, French and Spanish; a word of three letters or fewer is no term anyway."""

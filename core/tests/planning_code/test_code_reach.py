from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail.planning.code import CodeIdentity

Identify = Callable[..., CodeIdentity]

CALLS_HELPER = {"flow.py": "from helpers import helper\ndef f(x):\n    return helper(x)\n"}

# Each case: files, the file that is edited, what is replaced by what.
REACHED = {
    "the function itself": ({"flow.py": "def f(x):\n    return x + 1\n"}, "flow.py", "+ 1", "+ 2"),
    "a helper in the same module": ({"flow.py": "def g():\n    return 1\ndef f():\n    return g()\n"}, "flow.py", "1", "2"),
    "a helper in another module": (
        {**CALLS_HELPER, "helpers.py": "def helper(x):\n    return x + 1\n"},
        "helpers.py",
        "+ 1",
        "+ 2",
    ),
    "a helper's helper": (
        {
            **CALLS_HELPER,
            "helpers.py": "import deep\ndef helper(x):\n    return deep.down(x)\n",
            "deep.py": "def down(x):\n    return 1\n",
        },
        "deep.py",
        "1",
        "2",
    ),
    "a helper by its module": (
        {"flow.py": "import helpers\ndef f():\n    return helpers.helper()\n", "helpers.py": "def helper():\n    return 1\n"},
        "helpers.py",
        "1",
        "2",
    ),
    "a helper by a submodule": (
        {
            "flow.py": "import lib.sub.deep\ndef f():\n    return lib.sub.deep.g()\n",
            "lib/__init__.py": "",
            "lib/sub/__init__.py": "",
            "lib/sub/deep.py": "def g():\n    return 1\n",
        },
        "lib/sub/deep.py",
        "1",
        "2",
    ),
    "a helper in a namespace package": (
        {"flow.py": "from lib import deep\ndef f():\n    return deep.g()\n", "lib/deep.py": "def g():\n    return 1\n"},
        "lib/deep.py",
        "1",
        "2",
    ),
    "a helper that a package re-exports": (
        {
            "flow.py": "from lib import g\ndef f():\n    return g()\n",
            "lib/__init__.py": "from .inner import g\n",
            "lib/inner.py": "def g():\n    return 1\n",
        },
        "lib/inner.py",
        "1",
        "2",
    ),
    "a helper that is re-exported under its module's name": (
        {
            "flow.py": "import lib\ndef f():\n    return lib.g()\n",
            "lib/__init__.py": "from lib.g import g\n",
            "lib/g.py": "def g():\n    return 1\n",
        },
        "lib/g.py",
        "1",
        "2",
    ),
    "a helper by a star import": (
        {
            "flow.py": "from helpers import *\ndef f():\n    return g()\n",
            "helpers.py": "from deep import *\n",
            "deep.py": "def g():\n    return 1\n",
        },
        "deep.py",
        "1",
        "2",
    ),
    "a helper imported inside the function": (
        {"flow.py": "def f():\n    from helpers import g as h\n    return h()\n", "helpers.py": "def g():\n    return 1\n"},
        "helpers.py",
        "1",
        "2",
    ),
    "a module imported inside the function for its effect": (
        {"flow.py": "def f():\n    import lib.effects\n", "lib/__init__.py": "", "lib/effects.py": "VALUE = 1\n"},
        "lib/effects.py",
        "1",
        "2",
    ),
    "a helper by a relative import inside the function": (
        {
            "pkg/__init__.py": "",
            "pkg/flow.py": "def f():\n    from .helpers import g\n    return g()\n",
            "pkg/helpers.py": "def g():\n    return 1\n",
        },
        "pkg/helpers.py",
        "1",
        "2",
    ),
    "a helper by a relative import of the package above": (
        {
            "pkg/__init__.py": "",
            "pkg/a/__init__.py": "",
            "pkg/a/flow.py": "from .. import helpers\ndef f():\n    return helpers.g()\n",
            "pkg/helpers.py": "def g():\n    return 1\n",
        },
        "pkg/helpers.py",
        "1",
        "2",
    ),
    "a constant": ({"flow.py": "N = 1\ndef f():\n    return N\n"}, "flow.py", "1", "2"),
    "a constant of another module": (
        {"flow.py": "import conf\ndef f():\n    return conf.N\n", "conf.py": "N = 1\n"},
        "conf.py",
        "1",
        "2",
    ),
    "a constant of a module that is not imported yet": (
        {"flow.py": "def f():\n    import conf\n    return conf.N\n", "conf.py": "N = 1\n"},
        "conf.py",
        "1",
        "2",
    ),
    "a constant computed in a module that is not imported yet": (
        {"flow.py": "def f():\n    import conf\n    return conf.N\n", "conf.py": "N = g(3)\ndef g(x):\n    return x * 1\n"},
        "conf.py",
        "* 1",
        "* 2",
    ),
    "a constant's type": ({"flow.py": "N = 1\ndef f():\n    return N\n"}, "flow.py", "1", "1.0"),
    "the order of a constant's keys": (
        {"flow.py": "N = {'a': 1, 'b': 2}\ndef f():\n    return N\n"},
        "flow.py",
        "{'a': 1, 'b': 2}",
        "{'b': 2, 'a': 1}",
    ),
    "a constant made by a project function": (
        {
            "flow.py": "N = make()\ndef f():\n    return N\n".replace(
                "N = make()", "def make():\n    return object(), 1\nN = make()"
            )
        },
        "flow.py",
        "1",
        "2",
    ),
    "a constant's assignment that is no plain value": (
        {"flow.py": "import re\nN = re.compile('a')\ndef f():\n    return N\n"},
        "flow.py",
        "'a'",
        "'b'",
    ),
    "one of two assignments": (
        {"flow.py": "N = object()\nif len('a') == 1:\n    N = [object(), 1]\ndef f():\n    return N\n"},
        "flow.py",
        ", 1]",
        ", 2]",
    ),
    "the condition of an assignment": (
        {"flow.py": "import sys\nif sys.maxsize > 1:\n    N = object()\ndef f():\n    return N\n"},
        "flow.py",
        "> 1",
        "> 2",
    ),
    "an enum member's value": (
        {"flow.py": "from enum import Enum\nclass Colour(Enum):\n    RED = 1\nN = Colour.RED\ndef f():\n    return N\n"},
        "flow.py",
        "RED = 1",
        "RED = 2",
    ),
    "a field of a frozen dataclass": (
        {
            "flow.py": "import conf\ndef f():\n    return conf.ONE\n",
            "conf.py": "import dataclasses, json, pathlib\n@dataclasses.dataclass(frozen=True)\nclass C:\n    n: int\nONE = C(**json.loads(pathlib.Path(__file__ + '.json').read_text()))\n",
            "conf.py.json": '{"n": 1}',
        },
        "conf.py.json",
        "1",
        "2",
    ),
    "a field of a named tuple": (
        {
            "flow.py": "import collections, pathlib\nP = collections.namedtuple('P', 'x')\nONE = P(pathlib.Path(__file__ + '.txt').read_text())\ndef f():\n    return ONE\n",
            "flow.py.txt": "1",
        },
        "flow.py.txt",
        "1",
        "2",
    ),
    "the methods of a constant's class": (
        {
            "flow.py": "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass C:\n    n: int\n    def m(self):\n        return 1\nONE = C(5)\ndef f():\n    return ONE.m()\n"
        },
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a default dictionary": (
        {"flow.py": "import collections\nN = collections.defaultdict(list, a=[1])\ndef f():\n    return N\n"},
        "flow.py",
        "1",
        "2",
    ),
    "a default dictionary's factory": (
        {"flow.py": "import collections\ndef g():\n    return 1\nN = collections.defaultdict(g)\ndef f():\n    return N\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a definition that an assignment wraps": (
        {
            "flow.py": "import functools, pathlib\ndef g(n):\n    return n\ng = functools.partial(g, len(pathlib.Path(__file__ + '.txt').read_text()))\ndef f():\n    return g()\n",
            "flow.py.txt": "1",
        },
        "flow.py.txt",
        "1",
        "22",
    ),
    "settings of a foreign module": (
        {
            "flow.py": "import decimal\ndecimal.getcontext()\ndecimal.setcontext(decimal.Context(prec=3))\ndef f():\n    return decimal.Decimal(1) / 3\n"
        },
        "flow.py",
        "prec=3",
        "prec=4",
    ),
    "a lambda that is assigned": ({"flow.py": "g = lambda: 1\ndef f():\n    return g()\n"}, "flow.py", "1", "2"),
    "a helper behind two loops of a comprehension": (
        {"flow.py": "def g(x):\n    return 1\ndef f(x):\n    return [b for a in x for b in g(a)]\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a class in a list of a callable's types": (
        {
            "flow.py": "from typing import Callable, Optional\nclass A:\n    n = 1\ndef f(x: 'Callable[[A], int] | None', y: 'not a type' = 1):\n    return x\n"
        },
        "flow.py",
        "n = 1",
        "n = 2",
    ),
    "an annotated local's value": (
        {"flow.py": "def g():\n    return 1\ndef f():\n    x: int = g()\n    return x\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "what a coroutine awaits": (
        {
            "flow.py": "async def g():\n    return 1\nasync def f():\n    async with g() as x:\n        return [y async for y in x]\n"
        },
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a class that is instantiated": (
        {"flow.py": "class A:\n    def m(self):\n        return 1\ndef f():\n    return A().m()\n"},
        "flow.py",
        "1",
        "2",
    ),
    "a base class": (
        {
            "flow.py": "from base import B\nclass A(B):\n    pass\ndef f():\n    return A()\n",
            "base.py": "class B:\n    def m(self):\n        return 1\n",
        },
        "base.py",
        "1",
        "2",
    ),
    "a metaclass": (
        {
            "flow.py": "from base import M\nclass A(metaclass=M):\n    pass\ndef f():\n    return A()\n",
            "base.py": "class M(type):\n    n = 1\n",
        },
        "base.py",
        "1",
        "2",
    ),
    "what a method calls": (
        {"flow.py": "def g():\n    return 1\nclass A:\n    def m(self):\n        return g()\ndef f():\n    return A().m()\n"},
        "flow.py",
        "1",
        "2",
    ),
    "a class attribute": ({"flow.py": "class A:\n    n = 1\ndef f():\n    return A.n\n"}, "flow.py", "1", "2"),
    "a decorator": (
        {
            "flow.py": "from deco import double\n@double\ndef f():\n    return 1\n",
            "deco.py": "import functools\ndef double(g):\n    @functools.wraps(g)\n    def w():\n        return 2 * g()\n    return w\n",
        },
        "deco.py",
        "2 *",
        "3 *",
    ),
    "a decorator's arguments": (
        {
            "flow.py": "from deco import times\n@times(2)\ndef g():\n    return 1\ndef f():\n    return g()\n",
            "deco.py": "def times(n):\n    def deco(g):\n        return lambda: n * g()\n    return deco\n",
        },
        "flow.py",
        "@times(2)",
        "@times(3)",
    ),
    "a function without its wraps under a decorator": (
        {"flow.py": "def deco(g):\n    def w():\n        return g()\n    return w\n@deco\ndef f():\n    return 1\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a default argument": ({"flow.py": "def f(x=1):\n    return x\n"}, "flow.py", "x=1", "x=2"),
    "a default argument's constant": ({"flow.py": "N = 1\ndef f(x=N):\n    return x\n"}, "flow.py", "N = 1", "N = 2"),
    "an annotation's class": ({"flow.py": "class A:\n    n = 1\ndef f(x: A):\n    return x.n\n"}, "flow.py", "1", "2"),
    "a quoted annotation's class": (
        {"flow.py": "class A:\n    n = 1\ndef f(x: 'list[A]'):\n    return x\n"},
        "flow.py",
        "1",
        "2",
    ),
    "a class imported for typing only": (
        {
            "flow.py": "from __future__ import annotations\nimport typing\nif typing.TYPE_CHECKING:\n    from base import A\ndef f(x: A):\n    return x\n",
            "base.py": "class A:\n    n = 1\n",
        },
        "base.py",
        "1",
        "2",
    ),
    "a nested function's helper": (
        {"flow.py": "def g():\n    return 1\ndef f():\n    def h():\n        return g()\n    return h()\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a lambda's helper": (
        {"flow.py": "def g():\n    return 1\ndef f(x):\n    return map(lambda _: g(), x)\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a comprehension's helper": (
        {"flow.py": "def g(x):\n    return 1\ndef f(x):\n    return [g(i) for i in x if i]\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a comprehension's source in a class": (
        {"flow.py": "N = [1]\nclass A:\n    n = [i for i in N]\ndef f():\n    return A\n"},
        "flow.py",
        "[1]",
        "[2]",
    ),
    "a name that a class body hides from its methods only": (
        {
            "flow.py": "def g():\n    return 1\nclass A:\n    g = 5\n    def m(self):\n        return g()\ndef f():\n    return A()\n"
        },
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a registry's member": (
        {
            "flow.py": "REG = {}\ndef register(g):\n    REG[g.__name__] = g\n    return g\n@register\ndef a():\n    return 1\ndef f(name):\n    return REG[name]()\n"
        },
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a registry's member in another module": (
        {
            "flow.py": "import plugins\nfrom reg import REG\ndef f(name):\n    return REG[name]()\n",
            "reg.py": "REG = {}\n",
            "plugins.py": "from reg import REG\ndef a():\n    return 1\nREG['a'] = a\n",
        },
        "plugins.py",
        "return 1",
        "return 2",
    ),
    "a member of a registry that reached code changes": (
        {
            "flow.py": "REG = {}\ndef register(g):\n    REG[g.__name__] = g\n    return g\n@register\ndef a():\n    return 1\ndef f(name):\n    register(f)\n    return REG[name]()\n"
        },
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a method of a registered object": (
        {"flow.py": "class A:\n    def m(self):\n        return 1\nREG = []\nREG.append(A())\ndef f():\n    return REG[0].m()\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a registry's member in a module that is not imported yet": (
        {
            "flow.py": "def f(name):\n    import reg\n    return reg.REG[name]()\n",
            "reg.py": "REG = {}\ndef register(g):\n    REG[g.__name__] = g\n    return g\n@register\ndef a():\n    return 1\n",
        },
        "reg.py",
        "return 1",
        "return 2",
    ),
    "a case of a singledispatch function": (
        {
            "flow.py": "import functools\n@functools.singledispatch\ndef g(x):\n    return 0\n@g.register\ndef _(x: int):\n    return 1\ndef f(x):\n    return g(x)\n"
        },
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a statement that changes a reached object": (
        {"flow.py": "X = object()\nY = [X]\nY.append(len('a'))\nZ = (X, Y)\ndef f():\n    return Y\n"},
        "flow.py",
        "'a'",
        "'bb'",
    ),
    "a partial's function": (
        {"flow.py": "from functools import partial\ndef g(x):\n    return 1\nh = partial(g, 3)\ndef f():\n    return h()\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a partial's argument": (
        {"flow.py": "from functools import partial\ndef g(x):\n    return 1\nh = partial(g, 3)\ndef f():\n    return h()\n"},
        "flow.py",
        "g, 3",
        "g, 4",
    ),
    "a module that is passed whole": (
        {
            "flow.py": "import helpers\ndef g(m, n):\n    return getattr(m, n)()\ndef f(name):\n    return g(helpers, name)\n",
            "helpers.py": "def a():\n    return 1\n",
        },
        "helpers.py",
        "1",
        "2",
    ),
    "a module that getattr asks": (
        {"flow.py": "import helpers\ndef f(name):\n    return getattr(helpers, name)\n", "helpers.py": "X = object()\nN = 1\n"},
        "helpers.py",
        "N = 1",
        "N = 2",
    ),
    "a module's own globals": (
        {"flow.py": "def a():\n    return 1\ndef f(name):\n    return globals()[name]()\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a module's own entry among all modules": (
        {"flow.py": "import sys\ndef a():\n    return 1\ndef f(name):\n    return getattr(sys.modules[__name__], name)()\n"},
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a module's attribute function": (
        {
            "flow.py": "import helpers\ndef f():\n    return helpers.anything\n",
            "helpers.py": "def __getattr__(name):\n    return 1\n",
        },
        "helpers.py",
        "1",
        "2",
    ),
    "which of two modules a name comes from": (
        {
            "flow.py": "from a import g\ndef f():\n    return g()\n",
            "a.py": "def g():\n    return 1\n",
            "b.py": "def g():\n    return 1\n",
        },
        "flow.py",
        "from a",
        "from b",
    ),
    "which of two names two imports give": (
        {
            "flow.py": "from a import g, h\ndef f():\n    return g() - h()\n",
            "a.py": "def g():\n    return 1\ndef h():\n    return 2\n",
        },
        "flow.py",
        "import g, h",
        "import g as h, h as g",
    ),
    "which foreign function a name stands for": (
        {"flow.py": "from statistics import mean as m\ndef f(x):\n    return m(x)\n"},
        "flow.py",
        "mean as",
        "median as",
    ),
    "a walrus at the top": ({"flow.py": "if (N := len('a')):\n    pass\ndef f():\n    return N\n"}, "flow.py", "'a'", "'bb'"),
    "a loop at the top": (
        {"flow.py": "N = []\nfor i in range(3):\n    N.append(i)\ndef f():\n    return N\n"},
        "flow.py",
        "3",
        "4",
    ),
    "a fallback of an import": (
        {
            "flow.py": "try:\n    from missing_for_sure import g\nexcept ImportError:\n    def g():\n        return 1\ndef f():\n    return g()\n"
        },
        "flow.py",
        "return 1",
        "return 2",
    ),
    "a pattern's class": (
        {
            "flow.py": "class A:\n    n = 1\ndef f(x):\n    match x:\n        case A():\n            return 1\n        case [*rest] | {'a': rest}:\n            return rest\n"
        },
        "flow.py",
        "n = 1",
        "n = 2",
    ),
}

# Each case: files, the file that is edited, what is replaced by what.
NOT_REACHED = {
    "a comment": ({"flow.py": "def f():\n    return 1  # one\n"}, "flow.py", "# one", "# uno"),
    "formatting": (
        {"flow.py": "def f(x):\n    return g(x, 1)\ndef g(a, b): return [a, b]\n"},
        "flow.py",
        "return g(x, 1)",
        "return (\n        g(x,   1)\n    )",
    ),
    "quotes": ({"flow.py": "N = 'a'\ndef f():\n    return 'a' + N\n"}, "flow.py", "'a'", '"a"'),
    "the docstring": ({"flow.py": "def f():\n    'one'\n    return 1\n"}, "flow.py", "one", "two"),
    "a new docstring": ({"flow.py": "def f():\n    return 1\n"}, "flow.py", "    return", "    '''says'''\n    return"),
    "a method's docstring": (
        {"flow.py": "class A:\n    'one'\n    def m(self):\n        'one'\ndef f():\n    return A\n"},
        "flow.py",
        "one",
        "two",
    ),
    "the module's docstring": ({"flow.py": "'one'\ndef f():\n    return 1\n"}, "flow.py", "one", "two"),
    "an unreachable function": (
        {"flow.py": "def g():\n    return 1\ndef f():\n    return 2\n"},
        "flow.py",
        "return 1",
        "return 3",
    ),
    "an unreachable function of a helper's module": (
        {**CALLS_HELPER, "helpers.py": "def other():\n    return 1\ndef helper(x):\n    return x\n"},
        "helpers.py",
        "return 1",
        "return 2",
    ),
    "where a function stands": (
        {"flow.py": "def g():\n    return 1\n\ndef f():\n    return g()\n"},
        "flow.py",
        "def g",
        "\n\nOTHER = 3\ndef g",
    ),
    "an unread constant": ({"flow.py": "N = 1\ndef f():\n    return 2\n"}, "flow.py", "N = 1", "N = 2"),
    "how a plain constant is written": ({"flow.py": "N = 4\ndef f():\n    return N\n"}, "flow.py", "4", "2 + 2"),
    "a local of the same name": ({"flow.py": "n = 1\ndef f():\n    n = 5\n    return n\n"}, "flow.py", "n = 1", "n = 2"),
    "a parameter of the same name": ({"flow.py": "n = 1\ndef f(n):\n    return n\n"}, "flow.py", "n = 1", "n = 2"),
    "a comprehension variable of the same name": (
        {"flow.py": "n = 1\ndef f(x):\n    return {n: n for n in x}\n"},
        "flow.py",
        "n = 1",
        "n = 2",
    ),
    "an exception variable of the same name": (
        {"flow.py": "n = 1\ndef f(x):\n    try:\n        return x()\n    except ValueError as n:\n        return n\n"},
        "flow.py",
        "n = 1",
        "n = 2",
    ),
    "a pattern variable of the same name": (
        {"flow.py": "n = 1\ndef f(x):\n    match x:\n        case [n]:\n            return n\n"},
        "flow.py",
        "n = 1",
        "n = 2",
    ),
    "a nonlocal of the same name": (
        {"flow.py": "n = 1\ndef f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 3\n    g()\n    return n\n"},
        "flow.py",
        "n = 1",
        "n = 2",
    ),
    "a literal type of the same name": (
        {"flow.py": "from typing import Literal\nn = 1\ndef f(x: Literal['n']):\n    return x\n"},
        "flow.py",
        "n = 1",
        "n = 2",
    ),
    "an output's name that is a function's": (
        {"flow.py": "from typing import Annotated\ndef g():\n    return 1\ndef f() -> Annotated[int, 'g']:\n    return 2\n"},
        "flow.py",
        "return 1",
        "return 3",
    ),
    "Dovetail's decorator": ({"flow.py": "from dovetail import step\n@step\ndef f():\n    return 2\n"}, "flow.py", "@step\n", ""),
    "the arguments of Dovetail's decorator": (
        {
            "flow.py": "import dovetail as dt\nTAGS = ['a']\n@dt.step(tags=TAGS)\ndef g():\n    return 2\ndef f():\n    return g()\n"
        },
        "flow.py",
        "tags=TAGS",
        "timeout=3",
    ),
    "what Dovetail's decorator is given": (
        {"flow.py": "from dovetail import step\ndef alarm():\n    return 1\n@step(on_end=alarm)\ndef f():\n    return 2\n"},
        "flow.py",
        "return 1",
        "return 3",
    ),
    "Dovetail's decorator under a name of the project": (
        {
            "flow.py": "from prelude import task\n@task\ndef f():\n    return 2\n",
            "prelude.py": "import dovetail\ntask = dovetail.step(name='x')\n",
        },
        "prelude.py",
        "'x'",
        "'y'",
    ),
    "a partial of Dovetail's decorator": (
        {
            "flow.py": "from prelude import task\n@task(timeout=2)\ndef f():\n    return 2\n",
            "prelude.py": "import functools\nfrom dovetail import step as s\ntask = functools.partial(s, name='x')\n",
        },
        "prelude.py",
        "'x'",
        "'y'",
    ),
    "a member that a whole registry does not hold": (
        {
            "flow.py": "REG = {}\ndef register(g):\n    REG[g.__name__] = g\n    return g\n@register\ndef a():\n    return 1\ndef b():\n    return 5\ndef f(name):\n    return REG[name]()\n"
        },
        "flow.py",
        "return 5",
        "return 6",
    ),
    "the list that counts the calls": (
        {"flow.py": "CALLS = []\ndef f():\n    CALLS.append(1)\n"},
        "flow.py",
        "def f",
        "\n\ndef f",
    ),
}


def edited(files: dict[str, str], file: str, old: str, new: str) -> dict[str, str]:
    assert old in files[file]
    return {**files, file: files[file].replace(old, new)}


def step_of(files: dict[str, str]) -> str:
    path = next(name for name in files if name.endswith("flow.py"))
    return path.removesuffix(".py").replace("/", ".") + ":f"


@pytest.mark.parametrize("case", REACHED)
def test_editing_what_a_step_reaches_changes_its_key(identify: Identify, case: str) -> None:
    files, *edit = REACHED[case]
    assert identify(files, step_of(files)).digest != identify(edited(files, *edit), step_of(files)).digest


@pytest.mark.parametrize("case", REACHED)
def test_the_same_files_in_another_folder_give_the_same_key(identify: Identify, case: str) -> None:
    files: dict[str, str] = REACHED[case][0]
    first, second = identify(files, step_of(files)), identify(files, step_of(files))
    assert first.files != second.files
    assert first.parts == second.parts
    assert first.digest == second.digest
    assert first.uncacheable is None


@pytest.mark.parametrize("case", NOT_REACHED)
def test_editing_what_does_not_matter_keeps_the_key(identify: Identify, case: str) -> None:
    files, *edit = NOT_REACHED[case]
    assert identify(files).parts == identify(edited(files, *edit)).parts


def test_the_files_of_a_key_are_those_it_reached_and_the_packages_around_them(identify: Identify) -> None:
    found = identify(
        {
            "flow.py": "from lib.sub.deep import g\nimport other\ndef f():\n    return g()\n",
            "lib/__init__.py": "",
            "lib/sub/__init__.py": "",
            "lib/sub/deep.py": "def g():\n    return 1\n",
            "other.py": "",
        }
    )
    root = found.files[0].parent
    assert [file.relative_to(root) for file in found.files] == [
        Path(name) for name in ("flow.py", "lib/__init__.py", "lib/sub/__init__.py", "lib/sub/deep.py")
    ]


def test_parts_name_what_they_stand_for(identify: Identify) -> None:
    found = identify(
        {"flow.py": "from helpers import g\nN = 1\ndef f():\n    return g(N)\n", "helpers.py": "def g(x):\n    return x\n"}
    )
    assert set(found.parts) == {"entry", "flow:f", "flow:N", "flow:g", "helpers:g"}


def test_two_functions_that_call_each_other_have_different_keys(identify: Identify) -> None:
    files = {"flow.py": "def f(n):\n    return n and g(n - 1)\ndef g(n):\n    return n and f(n - 1)\n"}
    assert identify(files, "flow:f").digest != identify(files, "flow:g").digest


def test_modules_that_import_each_other_are_read_to_the_end(identify: Identify) -> None:
    files = {
        "flow.py": "import other\ndef f(n):\n    return other.g(n)\n",
        "other.py": "import flow\nfrom flow import *\ndef g(n):\n    return flow.f(n) + flow.missing + h\n",
    }
    assert {"flow:f", "other:g"} <= identify(files).parts.keys()


def test_names_that_import_each_other_are_read_to_the_end(identify: Identify) -> None:
    files = {
        "flow.py": "def f():\n    from a import g\n    return g\n",
        "a.py": "from b import g\n",
        "b.py": "from a import g\n",
    }
    assert "flow:f" in identify(files).parts


def test_a_chain_of_five_thousand_functions_does_not_exhaust_the_stack(identify: Identify) -> None:
    chain = "".join(f"def f{n}(x):\n    return f{n + 1}(x)\n" for n in range(5000))
    found = identify({"flow.py": f"{chain}def f5000(x):\n    return x\n"}, "flow:f0")
    assert len(found.parts) == 5002


def test_a_deep_expression_does_not_exhaust_the_stack(identify: Identify) -> None:
    source = "def f(x):\n    return x" + " + x" * 900 + "\n"
    branches = "".join(f"    elif x == {n}:\n        pass\n" for n in range(300))
    assert identify({"flow.py": f"{source}def g(x):\n    if x:\n        pass\n{branches}"}, "flow:g").uncacheable is None


def test_ten_thousand_uses_of_a_function_are_one_analysis(projects: object, identify: Identify) -> None:
    from dovetail.planning.code import CodeReader

    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})  # type: ignore[attr-defined]
    reader = CodeReader(project)
    first = reader.identify(function)
    assert all(reader.identify(function) is first for _ in range(10_000))

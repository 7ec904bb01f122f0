"""CPU-bound .NET: squares a large number, called from Python.

    <module> > … > BigInteger::op_Multiply > BigIntegerCalculator::Square

dotnet.py [SECONDS], by a Python that has pythonnet and dotnetcore2.
"""

import os
import sys
import time

import dotnetcore2
from clr_loader import get_coreclr
from pythonnet import set_runtime

os.environ["DOTNET_ROOT"] = os.path.join(os.path.dirname(dotnetcore2.__file__), "bin")
os.environ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1"  # Needs no libicu.
set_runtime(get_coreclr())

import clr  # noqa: E402 Makes the modules of .NET importable.

clr.AddReference("System.Runtime.Numerics")

from System.Numerics import BigInteger  # noqa: E402


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0
    end = time.monotonic() + seconds if seconds > 0 else None
    number = BigInteger.Pow(BigInteger(3), 100000)
    for _ in range(40):  # Until all is compiled.
        BigInteger.Multiply(number, number)
    print("ready", flush=True)
    while end is None or time.monotonic() < end:
        BigInteger.Multiply(number, number)


main()

"""Further ways in which a gate stands in a pipeline and does not guard, and pipelines as people write them in which it does.

``SHELL`` and ``WRITTEN`` are scripts of the gate's step on GitHub; ``AROUND`` and ``GUARDING`` are whole pipelines.
"""

# ruff: noqa: E501 - a script or a pipeline is one line

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Pipeline(NamedTuple):
    """One pipeline."""

    platform: str
    about: str
    text: str
    files: Mapping[str, str] = MappingProxyType({})
    """Other files of its repository."""
    settings: Mapping[str, Any] = MappingProxyType({})


SHELL = {
    "return in function": "check() { return 0; mlgov gate fairness; }\ncheck",
    "return if in function": 'check() { [ -n "$GO" ] || return 0; mlgov gate fairness; }\ncheck',
    "exit in a function": "f() { exit 0; }\nf\nmlgov gate fairness",
    "set +e in a function": "f() { set +e; }\nf\nmlgov gate fairness\necho",
    "trap in function": "f() { trap 'exit 0' EXIT; }\nf\nmlgov gate fairness",
    "trap names function": "f() { exit 0; }\ntrap f EXIT\nmlgov gate fairness",
    "trap --": "trap -- 'exit 0' EXIT\nmlgov gate fairness",
    "trap SIGEXIT": "trap 'exit 0' SIGEXIT\nmlgov gate fairness",
    "trap DEBUG": "trap 'exit 0' DEBUG\nmlgov gate fairness",
    "trap exec": "trap 'exec true' EXIT\nmlgov gate fairness",
    "trap rc0": "trap 'rc=0; exit $rc' EXIT\nmlgov gate fairness",
    "exec true before": "exec true\nmlgov gate fairness",
    "exec bash": "exec bash -c 'echo'\nmlgov gate fairness",
    "shopt -uo": "shopt -uo errexit\nmlgov gate fairness\necho",
    "builtin set": "builtin set +e\nmlgov gate fairness\necho",
    "backslash set": "\\set +e\nmlgov gate fairness\necho",
    "quoted set": "s'e't +e\nmlgov gate fairness\necho",
    "var set": "S=set\n$S +e\nmlgov gate fairness\necho",
    "set -n": "set -n\nmlgov gate fairness",
    "bash -n -c": "bash -n -c 'mlgov gate fairness'",
    "bash --version": "bash --version -c 'mlgov gate fairness'",
    "cond set -e": 'set +e\nif [ -n "$S" ]; then set -e; fi\nmlgov gate fairness\necho',
    "set -e in &&": 'set +e\n[ -n "$S" ] && set -e\nmlgov gate fairness\necho',
    "set -e piped": "set +e\nset -e | cat\nmlgov gate fairness\necho",
    "test && gate, not last": '[ "$CHECK" = yes ] && mlgov gate fairness\necho done',
    "cd && gate, not last": "cd x && mlgov gate fairness\necho done",
    "command -v": "command -v mlgov gate fairness",
    "env --version": "env --version mlgov gate fairness",
    "setsid -f": "setsid -f mlgov gate fairness",
    "sudo -b": "sudo -b mlgov gate fairness",
    "sudo -l": "sudo -l mlgov gate fairness",
    "tini -e1": "tini -e1 -- mlgov gate fairness",
    "timeout --help": "timeout --help 5 mlgov gate fairness",
    "nohup bg": "nohup mlgov gate fairness &\nwait",
    "alias": "shopt -s expand_aliases\nalias mlgov=true\nmlgov gate fairness",
    "expression hides": "mlgov gate fairness {{ || true # }}",
    "expression hides lines": "echo {{\nexit 0\necho }}\nmlgov gate fairness",
    "help by concat": "mlgov gate fairness --he''lp",
    "mode by concat": 'mlgov gate policy --mode=w""arn --input .',
    "brace expansion": "mlgov gate fairness {--help,--data}",
    "ansi c": "mlgov gate fairness $'\\x2d\\x2dhelp'",
    "var help": "X=--help\nmlgov gate fairness $X",
    "gate name unknown": "mlgov gate $WHAT",
    "version option": "mlgov --version gate fairness",
    "repo mlgov": "./mlgov gate fairness",
    "tmp mlgov": "/tmp/mlgov gate fairness",
    "eval lit": "eval 'set +e'\nmlgov gate fairness\necho",
    "digit exit": "mlgov gate fairness || exit ²",
    "big exit": "mlgov gate fairness || exit " + chr(57) * 5000,
    "coproc": "coproc mlgov gate fairness\nwait",
    "while loop": "while mlgov gate fairness; do break; done",
    "until": "until mlgov gate fairness; do break; done",
    "xargs -r": "cat list | xargs -r -n1 mlgov gate fairness --data",
    "proc subst": "cat <(mlgov gate fairness)",
    "exec redirect": "exec > >(mlgov gate fairness)\necho",
    "kill self ok": "kill -TERM 0; mlgov gate fairness &",
    "fn override": "mlgov() { :; }\nmlgov gate fairness",
    "function kw override": 'function mlgov { command mlgov "$@" || true; }\nmlgov gate fairness',
    "unset -e by SHELLOPTS": "set -o noexec\nmlgov gate fairness",
    "disown": "mlgov gate fairness & disown",
    "if false": "if false; then mlgov gate fairness; fi",
    "case": "case $X in a) mlgov gate fairness ;; esac",
    "sub and or": "(mlgov gate fairness; true) || true",
    "here": "bash -e <<EOF\nmlgov gate fairness\ntrue\nEOF",
    "heredoc to cat": "cat > g.sh <<EOF\nmlgov gate fairness\nEOF\nbash g.sh || true",
    "pipe amp": "mlgov gate fairness |& tee log",
    "time pipe": "time mlgov gate fairness | tee log",
    "bang": "! mlgov gate fairness",
    "double bang": "! ! mlgov gate fairness || true",
    "last echo": "set +e; mlgov gate fairness; echo $?",
    "local": "f() { local r=$(mlgov gate fairness); }\nf",
    "make": "make gate",
    "python -c": "python -c \"import subprocess; subprocess.run(['mlgov','gate','fairness'])\"",
    "bash -c last": "bash -c 'mlgov gate fairness; :'",
    "sh -c amp": "sh -c 'mlgov gate fairness &'",
    "test arg": 'test -n "$(mlgov gate fairness)" || true',
    "continue": 'for m in a b; do [ -n "$S" ] && continue; mlgov gate fairness; done',
    "PIPESTATUS": "mlgov gate fairness | tee l; echo ${PIPESTATUS[0]}",
    "timeout -k status": "timeout 5 mlgov gate fairness || [ $? -eq 1 ]",
    "exit var": "mlgov gate fairness || rc=$?\nexit ${rc2:-0}",
    "wait no": "mlgov gate fairness & wait",
    "mlgov gate name only": "mlgov gate",
    "what-if": "mlgov gate fairness --what-if",
    "expr cmd": "${{ inputs.pre }}\nmlgov gate fairness",
    "dollar cmd": "$PRE\nmlgov gate fairness",
    "uv run --help": "uv run --help mlgov gate fairness",
    "flock -n": "flock -n -E 0 /tmp/l mlgov gate fairness",
    "parallel": "parallel mlgov gate fairness --data ::: ",
    "enable -n": "enable -n exit\nmlgov gate fairness || { echo; exit 1; }",
    "break func": "exit() { :; }\nmlgov gate fairness || exit 1",
    "errexit off in subshell stmt": "set +e\n(set -e)\nmlgov gate fairness\necho",
    "unset f": "set +e -x\nmlgov gate fairness\ntrue",
    "set -o posix no e": "set +eu\nmlgov gate fairness\ntrue",
    "select": "select x in a; do mlgov gate fairness; done",
    "arith": "(( 1 )) || mlgov gate fairness",
    "sem || cmd": "mlgov gate fairness || true | false; true",
    "hash": "hash -p /bin/true mlgov\nmlgov gate fairness",
    "BASH_ENV": "BASH_ENV=x bash -ec 'mlgov gate fairness'",
}
"""Scripts whose gate may fail, or never run, without the step's failing."""

WRITTEN = {
    "or exit 1": "mlgov gate fairness --data p.csv || exit 1",
    "or exit": "mlgov gate fairness --data p.csv || exit\necho ok",
    "or exit $?": "mlgov gate fairness --data p.csv || exit $?\necho ok",
    "or braces": 'mlgov gate fairness || { echo "gate failed" >&2; exit 1; }\necho ok',
    "or subshell": "mlgov gate fairness || (echo 'gate failed' && exit 1)\necho ok",
    "or subshell ;": "mlgov gate fairness || (echo 'gate failed'; exit 1)\necho ok",
    "or false": "mlgov gate fairness || false\necho ok",
    "die": "die() { echo \"$1\" >&2; exit 1; }\nmlgov gate fairness || die 'no'\necho ok",
    "pipefail tee": "set -euo pipefail\nmlgov gate fairness --data p.csv 2>&1 | tee gate.log",
    "activate": "source .venv/bin/activate\nmlgov gate fairness",
    "dot activate": "python -m venv venv\n. venv/bin/activate\npip install airflow-mlgov\nmlgov gate fairness",
    "conda": 'eval "$(conda shell.bash hook)"\nconda activate ml\nmlgov gate fairness',
    "conda.sh": "source $(conda info --base)/etc/profile.d/conda.sh\nconda activate ml\nmlgov gate fairness",
    "for literal": "for s in a b c; do\n  mlgov gate fairness --data $s.csv\ndone",
    "poetry": "poetry run mlgov gate fairness",
    "uv run": "uv run --frozen mlgov gate fairness",
    "uvx": "uvx --from airflow-mlgov mlgov gate fairness",
    "uv run --python": "uv run --python 3.12 mlgov gate fairness",
    "conda run": "conda run --no-capture-output -n ml mlgov gate fairness",
    "conda run -p": "conda run -p ./env mlgov gate fairness",
    "venv bin": ".venv/bin/mlgov gate fairness",
    "python -m": "python -m airflow_mlgov gate fairness",
    "python -u -m": "python -u -m airflow_mlgov gate fairness",
    "var": 'DATA=p.csv\nmlgov gate fairness --data "$DATA"',
    "var opts": 'mlgov gate fairness --data $DATA --policy ${POLICY_FILE} --model "models:/credit/${VERSION}"',
    "gh expr": "mlgov gate fairness --data ${{ env.DATA }} --model models:/credit/${{ steps.r.outputs.version }}",
    "if then else": "if mlgov gate fairness; then\n  echo ok\nelse\n  echo no\n  exit 1\nfi",
    "if not": "if ! mlgov gate fairness; then\n  echo '::error::fairness'\n  exit 1\nfi\necho ok",
    "trap cleanup": "trap 'rm -rf tmp' EXIT\nmlgov gate fairness",
    "trap rc": "trap 'rc=$?; rm -rf tmp; exit $rc' EXIT\nmlgov gate fairness",
    "trap fn": "cleanup() { rm -rf tmp; }\ntrap cleanup EXIT\nmlgov gate fairness",
    "trap INT": "trap 'exit 130' INT TERM\nmlgov gate fairness",
    "timeout": "timeout 30m mlgov gate fairness",
    "timeout sig": "timeout --signal=KILL -k 10 30m mlgov gate fairness",
    "time": "time mlgov gate fairness",
    "sudo": "sudo -E -u app mlgov gate fairness",
    "env": "env -i HOME=/tmp PATH=$PATH mlgov gate fairness",
    "line cont": "mlgov gate fairness \\\n  --data p.csv \\\n  --sign vault:mlgov-fairness",
    "function": 'run_gate() {\n  mlgov gate fairness --data "$1"\n}\nrun_gate a.csv\nrun_gate b.csv',
    "tee proc": "mlgov gate fairness > >(tee log) 2>&1",
    "pushd": "pushd models\nmlgov gate fairness\npopd",
    "subshell cd": "(cd models && mlgov gate fairness)\necho ok",
    "cd then": "cd models\nmlgov gate fairness",
    "retry var": "export MLFLOW_TRACKING_URI=http://mlflow\nmlgov gate performance --data p.csv\nmlgov gate fairness --data p.csv",
    "json out": "mlgov gate fairness --json > fairness.json",
    "if file": "if [ -f requirements.txt ]; then pip install -r requirements.txt; fi\nmlgov gate fairness",
    "or true elsewhere": "mkdir out || true\nmlgov gate fairness\nrm -r out || true",
    "test and export": '[ -n "$X" ] && export Y=1\nmlgov gate fairness',
    "rc": "set +e\nmlgov gate fairness\nrc=$?\nset -e\nif [ $rc -ne 0 ]; then echo no; exit $rc; fi",
    "rc exit": 'rc=0\nmlgov gate fairness || rc=$?\necho "rc $rc"\nexit $rc',
    "echo group": "echo '::group::gate'\nmlgov gate fairness\necho '::endgroup::'",
    "pip var": "$PYTHON -m pip install airflow-mlgov\nmlgov gate fairness",
    "script path var": "$GITHUB_WORKSPACE/ci/setup.sh\nmlgov gate fairness",
    "quoted model": 'mlgov verify "models:/credit/$VERSION" --target production',
    "while read": "while read -r f; do echo $f; done < list\nmlgov gate fairness",
    "heredoc cfg": "cat > cfg.yaml <<EOF\na: $X\nEOF\nmlgov gate fairness --policy cfg.yaml",
    "pipe in": "cat p.csv | head -n 100 > q.csv\nmlgov gate fairness --data q.csv",
    "set x": "set -x\nset -o errexit -o nounset -o pipefail\nmlgov gate fairness | tee x",
    "nested bash": "bash -euo pipefail -c 'mlgov gate fairness | tee log'",
    "PIPESTATUS": "mlgov gate fairness | tee log\nexit ${PIPESTATUS[0]}",
    "docs sources": "source ~/.profile || true\nmlgov gate fairness",
    "bin": "/opt/venv/bin/mlgov gate fairness",
    "home bin": "$HOME/.local/bin/mlgov gate fairness",
    "array": 'ARGS=(--data p.csv)\nmlgov gate fairness "${ARGS[@]}"',
}
"""Scripts whose step fails where the gate does."""

AROUND = [
    Pipeline(
        "github",
        "success() || ",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: success() || github.ref == 'refs/heads/main'\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "!success()",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: '!success()'\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "success()==false||true",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: ${{ success() == false || true }}\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "format",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: always() && format('{0}', needs.check.result == 'success')\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "== false",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: always() && needs.check.result == 'success' == false\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "text around",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: ${{ always() && needs.check.result == 'success' }} || true\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "block newline",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: |\n      ${{ always() && needs.check.result == 'success' }}\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "outcome ternary",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: always() && (needs.check.result == 'success' && true || true)\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "not failure only",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: always() && needs.check.result != 'failure'\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "contains success",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: always() && contains(needs.*.result, 'success')\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "upper status",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: ALWAYS ( )\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "env cond",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        if: env.GO == 'y'\n        run: mlgov gate fairness --data p.csv\n      - run: echo GO=y >> $GITHUB_ENV\n      - if: env.GO == 'y'\n        run: kubectl apply -f m.yaml\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "steps cond later",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        if: steps.x.outputs.go == 'y'\n        run: mlgov gate fairness --data p.csv\n      - id: x\n        run: echo go=y >> $GITHUB_OUTPUT\n      - if: steps.x.outputs.go == 'y'\n        run: kubectl apply -f m.yaml\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "shell noexec",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n        shell: bash -n {0}\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "shell devnull",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n        shell: bash -e /dev/null {0}\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "shell -c",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n        shell: bash -ec true {0}\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "shell default",
        "on: push\ndefaults: {run: {shell: 'bash -n {0}'}}\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "job defaults shell",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    defaults: {run: {shell: 'bash {0}'}}\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: |\n          mlgov gate fairness\n          echo\n      - run: echo\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "BASH_ENV env",
        "on: push\nenv: {BASH_ENV: ./x}\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "BASH_ENV job",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    env: {BASH_ENV: ./x}\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "docker args promote",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  ship:\n    needs: [train]\n    runs-on: x\n    steps:\n      - uses: docker://bitnami/kubectl\n        with: {entrypoint: kubectl, args: apply -f m.yaml}\n",
    ),
    Pipeline(
        "github",
        "ssh action",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  ship:\n    needs: [train]\n    runs-on: x\n    steps:\n      - uses: appleboy/ssh-action@v1\n        with:\n          script: |\n            kubectl apply -f m.yaml\n",
    ),
    Pipeline(
        "github",
        "environment expr",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  ship:\n    needs: [train]\n    environment: ${{ inputs.env }}\n    runs-on: x\n    steps:\n      - run: ./ship.sh\n",
    ),
    Pipeline(
        "github",
        "git push deploy",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: git push origin prod\n",
    ),
    Pipeline(
        "github",
        "camel",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deployModel:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: ./ship.sh\n",
    ),
    Pipeline(
        "github",
        "undo name",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    name: stop-old and deploy new\n    runs-on: x\n    steps:\n      - run: ./ship.sh\n",
    ),
    Pipeline(
        "github",
        "kubectl -v",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: kubectl -v 5 apply -f m\n",
    ),
    Pipeline(
        "github",
        "var kubectl",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: K=kubectl; $K apply -f m\n",
    ),
    Pipeline(
        "github",
        "KUBECTL",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: $KUBECTL apply -f m\n",
    ),
    Pipeline(
        "github",
        "ssh kubectl",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: ssh prod 'kubectl apply -f m'\n",
    ),
    Pipeline(
        "github",
        "ssh heredoc",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: |\n          ssh prod <<EOF\n          kubectl apply -f m\n          EOF\n",
    ),
    Pipeline(
        "github",
        "cat heredoc bash",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: |\n          cat <<EOF | bash\n          kubectl apply -f m\n          EOF\n",
    ),
    Pipeline(
        "github",
        "echo | sh",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: echo 'kubectl apply -f m' | sh\n",
    ),
    Pipeline(
        "github",
        "eval",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: eval 'kubectl apply -f m'\n",
    ),
    Pipeline(
        "github",
        "redirect subst",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: cat < <(kubectl apply -f m)\n",
    ),
    Pipeline(
        "github",
        "curl alias",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: curl -X POST $M/api/2.0/mlflow/registered-models/alias -d x\n",
    ),
    Pipeline(
        "github",
        "python -c alias",
        'on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: python -c \'import mlflow; mlflow.MlflowClient().set_registered_model_alias("a","champion",3)\'\n',
    ),
    Pipeline(
        "github",
        "deep",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { { kubectl apply -f m; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }; }\n",
    ),
    Pipeline(
        "github",
        "xargs",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: ls | xargs -r -I{} kubectl apply -f {}\n",
    ),
    Pipeline(
        "github",
        "docker run",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: docker run --rm img mlgov promote models:/c/3\n",
    ),
    Pipeline(
        "github",
        "trap deploy",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: \"trap 'kubectl apply -f m' EXIT\"\n",
    ),
    Pipeline(
        "github",
        "heredoc || true",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: |\n          mlgov gate fairness <<EOF || true\n          EOF\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "expr quote",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness ${{ '}} # ' }} || true\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "composite coe",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        uses: ./.github/actions/g\n        continue-on-error: true\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
        {".github/actions/g/action.yml": "runs: {using: composite, steps: [{run: mlgov gate fairness, shell: bash}]}"},
    ),
    Pipeline(
        "github",
        "composite inner true",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        uses: ./.github/actions/g\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
        {
            ".github/actions/g/action.yml": "runs: {using: composite, steps: [{run: 'mlgov gate fairness || true', shell: bash}]}"
        },
    ),
    Pipeline(
        "github",
        "composite if",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        uses: ./.github/actions/g\n        if: inputs.check\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
        {".github/actions/g/action.yml": "runs: {using: composite, steps: [{run: mlgov gate fairness, shell: bash}]}"},
    ),
    Pipeline(
        "github",
        "composite deploy",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - uses: ./.github/actions/s\n",
        {".github/actions/s/action.yml": "runs: {using: composite, steps: [{run: kubectl apply -f m, shell: bash}]}"},
    ),
    Pipeline(
        "github",
        "reusable always",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  d:\n    needs: [check]\n    if: always()\n    uses: ./.github/workflows/d.yml\n",
        {".github/workflows/d.yml": "on: workflow_call\njobs: {go: {runs-on: x, steps: [{run: kubectl apply -f m}]}}"},
    ),
    Pipeline(
        "github",
        "workflow_run",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  d:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: gh workflow run deploy.yml\n",
    ),
    Pipeline(
        "github",
        "matrix step if",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n        if: matrix.m == 'a'\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "failure gate",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n        if: failure()\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "post deploy first",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - run: kubectl apply -f m.yaml\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "python m",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: python -m airflow_mlgov promote models:/c/3\n",
    ),
    Pipeline(
        "github",
        "abs mlgov promote",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  x:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: ./mlgov promote models:/c/3\n",
    ),
    Pipeline(
        "github",
        "make",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: make release\n",
    ),
    Pipeline(
        "github",
        "npm",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [train]\n    runs-on: x\n    steps:\n      - run: npm run ship\n",
    ),
    Pipeline(
        "gitlab",
        "allow_failure yes",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  allow_failure: yes\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "allow_failure on",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  allow_failure: On\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        'allow_failure "true"',
        'stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  allow_failure: "true"\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n',
    ),
    Pipeline(
        "gitlab",
        "merge order",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\n.loose: &l {allow_failure: true}\nfairness:\n  extends: .gate\n  allow_failure: false\n  <<: *l\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "optional mid",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\nmid:\n  stage: check\n  needs: [fairness]\n  rules: [{if: $X}]\n  script: echo\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  needs: [{job: mid, optional: true}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "optional yes",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  rules: [{if: $X}]\ndeploy:\n  stage: release\n  needs: [{job: fairness, optional: yes}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "start name",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\nmid/(start):\n  stage: check\n  needs: [fairness]\n  script: echo\nmid:\n  stage: check\n  allow_failure: true\n  script: echo\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  needs: [mid]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "inherit default list",
        "default: {before_script: [mlgov gate fairness], image: a}\ndeploy:\n  inherit: {default: [image]}\n  script: kubectl apply -f m\n",
    ),
    Pipeline(
        "gitlab",
        "inherit no",
        "default: {before_script: [mlgov gate fairness], image: a}\ndeploy:\n  inherit: {default: no}\n  script: kubectl apply -f m\n",
    ),
    Pipeline(
        "gitlab",
        "run steps",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\nship:\n  stage: train\n  run: [{name: a, script: kubectl apply -f m}]\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "hooks",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\nship:\n  stage: train\n  hooks: {pre_get_sources_script: [kubectl apply -f m]}\n  script: echo\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "default hooks",
        "default: {hooks: {pre_get_sources_script: [kubectl apply -f m]}}\nstages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "jobs named jobs",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\njobs: {stage: train, script: echo}\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  needs: []\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "env production",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\nship:\n  stage: train\n  environment: production\n  script: ./x.sh\n",
    ),
    Pipeline(
        "gitlab",
        "env var",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\nship:\n  stage: train\n  environment: {name: $ENV}\n  script: ./x.sh\n",
    ),
    Pipeline(
        "gitlab",
        "env extends deep",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n.e: {environment: {name: production}}\nship:\n  extends: .e\n  stage: train\n  environment: {url: 'https://x'}\n  script: ./x.sh\n",
    ),
    Pipeline(
        "gitlab",
        "tier",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\nship:\n  stage: train\n  environment: {name: eu, deployment_tier: production}\n  script: ./x.sh\n",
    ),
    Pipeline(
        "gitlab",
        "job vars cond",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  variables: {GO: 'no'}\n  rules: [{if: $GO == 'yes'}]\ndeploy:\n  stage: release\n  variables: {GO: 'yes'}\n  rules: [{if: $GO == 'yes'}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "before exit",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  before_script: [exit 0]\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "default before set+e",
        "default: {before_script: [set +e]}\nstages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\n    - echo done\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "delayed needs",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  when: delayed\n  start_in: 1 hour\n  needs: [train]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "on_failure",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  when: on_failure\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "rules always",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  rules: [{if: $A, when: always}, {when: on_success}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "pre stage",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: .pre\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "BASH_ENV",
        "variables: {BASH_ENV: x}\nstages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "include override",
        "include: {local: x.yml}\nstages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
        {"x.yml": "fairness: {allow_failure: true}\n"},
    ),
    Pipeline(
        "gitlab",
        "child",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  trigger: {include: child.yml}\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
        {"child.yml": "d: {script: kubectl apply -f x}"},
    ),
    Pipeline(
        "gitlab",
        "retry manual",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  rules: [{when: manual, allow_failure: true}]\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "yaml anchors script",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - echo\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "except",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  except: [main]\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "interp",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv {{ || true # }}\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "parallel needs",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  rules: [{if: $X}]\ndeploy:\n  stage: release\n  needs: [{job: train}, {job: fairness, optional: true}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "argo",
        "daemon",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      daemon: true\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "daemon depends",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      daemon: true\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate\n',
    ),
    Pipeline(
        "argo",
        "podSpecPatch",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      podSpecPatch: \'{"containers":[{"name":"main","command":["true"]}]}\'\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "podSpecPatch wf",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  podSpecPatch: x\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "continueOn yes",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n            continueOn: {failed: yes}\n          - name: promote\n            template: promote\n            dependencies: [gate]\n',
    ),
    Pipeline(
        "argo",
        "sidecar",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      sidecars: [{name: s, image: a, command: [kubectl, apply, -f, x]}]\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "initContainer",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      initContainers: [{name: s, image: a, command: [kubectl, apply, -f, x]}]\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "random when",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n            when: "{{=sprig.randInt(0,2)}} == 1"\n          - name: promote\n            template: promote\n            depends: gate\n            when: "{{=sprig.randInt(0,2)}} == 1"\n',
    ),
    Pipeline(
        "argo",
        "digit seq",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n            withSequence: {count: "²"}\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "wtref hooks",
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  workflowTemplateRef: {name: t}\n  hooks: {exit: {template: promote}}\n---\napiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: t}\nspec:\n  entrypoint: main\n  templates:\n    - name: main\n      container: {image: a, command: [echo]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n",
    ),
    Pipeline(
        "argo",
        "clusterScope",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  workflowTemplateRef: {name: t, clusterScope: true}\n---\napiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: t}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "script sh -n",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      script: {image: a, command: [sh, -n], source: mlgov gate fairness}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "script true",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      script: {image: a, command: [bash, -c, "true", --], source: mlgov gate fairness}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "template memo default",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  templateDefaults: {memoize: {key: a}}\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "hook running",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n            hooks: {running: {template: promote, expression: x}}\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "steps when",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      steps:\n        - - {name: gate, template: gate, when: \'{{workflow.parameters.skip}} == no\'}\n        - - {name: promote, template: promote}\n',
    ),
    Pipeline(
        "argo",
        "steps same",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      steps:\n        - - {name: gate, template: gate}\n          - {name: promote, template: promote}\n',
    ),
    Pipeline(
        "argo",
        "resource deploy",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      resource: {action: apply, manifest: \'apiVersion: serving.kserve.io/v1beta1\\nkind: InferenceService\'}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n',
    ),
    Pipeline(
        "argo",
        "env arg",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness {{workflow.parameters.skip}}"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "depends Omitted",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded || gate.Omitted\n',
    ),
    Pipeline(
        "argo",
        "crd polyglot",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nSteps: [{Name: a, Type: Training}]\nVersion: x\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n',
    ),
    Pipeline(
        "argo",
        "containerSet",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      containerSet: {containers: [{name: a, image: a, command: [sh, -c, "mlgov gate fairness; true"]}]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "tekton",
        "onError param",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            onError: $(params.x)\n            script: |\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "task onError param",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      onError: $(params.x)\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "bundle",
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: c}\nspec:\n  tasks:\n    - {name: gate, taskRef: {name: g, bundle: evil.io/x}}\n    - name: promote\n      runAfter: [gate]\n      taskSpec: {steps: [{name: m, image: a, command: [mlgov, promote]}]}\n---\napiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: g}\nspec: {steps: [{name: s, image: a, command: [mlgov, gate, fairness]}]}\n",
    ),
    Pipeline(
        "tekton",
        "clustertask",
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: c}\nspec:\n  tasks:\n    - {name: gate, taskRef: {name: g, kind: ClusterTask}}\n    - name: promote\n      runAfter: [gate]\n      taskSpec: {steps: [{name: m, image: a, command: [mlgov, promote]}]}\n---\napiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: g}\nspec: {steps: [{name: s, image: a, command: [mlgov, gate, fairness]}]}\n",
    ),
    Pipeline(
        "tekton",
        "stepTemplate",
        "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: g}\nspec:\n  stepTemplate: {command: [mlgov, promote]}\n  steps: [{name: s, image: a}]\n",
    ),
    Pipeline(
        "tekton",
        "sidecar",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        sidecars: [{name: s, image: a, script: kubectl apply -f x}]\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "shebang -n",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              #!/bin/sh -n\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "shebang no e",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              #!/usr/bin/env bash\n              mlgov gate fairness\n              echo\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "step when",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            when: [{input: $(params.skip), operator: in, values: [a]}]\n            script: |\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "script param",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              $(params.cmd)\n              mlgov gate fairness\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "args help",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              mlgov gate fairness $(params.extra)\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "finally deploy name",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              mlgov gate fairness --data p.csv\n  finally:\n    - name: promote\n      when: [{input: $(tasks.status), operator: in, values: [Succeeded]}]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "pip deep",
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: c}\nspec:\n  tasks:\n    - name: p0\n      pipelineSpec:\n       tasks:\n        - name: p1\n          pipelineSpec:\n           tasks:\n            - name: p2\n              pipelineSpec:\n               tasks:\n                - name: p3\n                  pipelineSpec:\n                   tasks:\n                    - name: p4\n                      pipelineSpec:\n                       tasks:\n                        - name: p5\n                          pipelineSpec:\n                           tasks:\n                            - name: p6\n                              pipelineSpec:\n                               tasks:\n                                - name: p7\n                                  pipelineSpec:\n                                   tasks:\n                                    - name: p8\n                                      pipelineSpec:\n                                       tasks:\n                                        - name: p9\n                                          pipelineSpec:\n                                           tasks:\n                                            - name: z\n                                              taskSpec: {steps: [{name: m, image: a, command: [mlgov, promote]}]}\n",
    ),
    Pipeline(
        "tekton",
        "lifecycle",
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: \"no\"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            timeout: 1s\n            onError: 'Continue'\n            script: |\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n",
    ),
    Pipeline(
        "kubeflow",
        "wrapper hides",
        'pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n      promote:\n        componentRef: {name: comp-x}\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-x: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, "mlgov gate fairness --data p.csv"]}}\n    exec-promote: {container: {image: a, command: [sh, -c, "kubectl apply -f x # kfp.dsl.executor_main"]}}\n',
    ),
    Pipeline(
        "kubeflow",
        "customJob",
        'pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n      x:\n        componentRef: {name: comp-promote}\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, "mlgov gate fairness --data p.csv"]}}\n    exec-promote: {customJob: {spec: {workerPoolSpecs: [{containerSpec: {imageUri: a, command: [kubectl, apply, -f, x]}}]}}}\n',
    ),
    Pipeline(
        "kubeflow",
        "customJob 2 pools",
        'pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n      x:\n        componentRef: {name: comp-promote}\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, "mlgov gate fairness --data p.csv"]}}\n    exec-promote: {customJob: {spec: {workerPoolSpecs: [{containerSpec: {imageUri: a, command: [kubectl, apply, -f, x]}}, {containerSpec: {}}]}}}\n',
    ),
    Pipeline(
        "kubeflow",
        "cache yes",
        'pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {enableCache: yes}\n      promote:\n        componentRef: {name: comp-promote}\n        dependentTasks: [gate]\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, "mlgov gate fairness --data p.csv"]}}\n    exec-promote: {container: {image: a, command: [mlgov, promote]}}\n',
    ),
    Pipeline(
        "kubeflow",
        "cond mapping",
        "pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        inputs: {parameters: {go: {componentInputParameter: a}}}\n        triggerPolicy: {condition: \"inputs.parameter_values['go'] == 'y'\"}\n      promote:\n        componentRef: {name: comp-promote}\n        dependentTasks: [gate]\n        inputs: {parameters: {go: {componentInputParameter: b}}}\n        triggerPolicy: {condition: \"inputs.parameter_values['go'] == 'y'\"}\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, \"mlgov gate fairness --data p.csv\"]}}\n    exec-promote: {container: {image: a, command: [mlgov, promote]}}\n",
    ),
    Pipeline(
        "kubeflow",
        "python code",
        'pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n      x:\n        componentRef: {name: comp-promote}\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, "mlgov gate fairness --data p.csv"]}}\n    exec-promote: {container: {image: a, command: [sh, -c, "python3 -m kfp.dsl.executor_main", "import mlflow\\ndef f():\\n  mlflow.MlflowClient().set_registered_model_alias(1,2,3)\\n"]}}\n',
    ),
    Pipeline(
        "kubeflow",
        "args only",
        "pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n      promote:\n        componentRef: {name: comp-promote}\n        dependentTasks: [gate]\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, args: [mlgov, gate, fairness]}}\n    exec-promote: {container: {image: a, command: [mlgov, promote]}}\n",
    ),
    Pipeline(
        "kubeflow",
        "exit handler",
        'pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n      promote:\n        componentRef: {name: comp-promote}\n        dependentTasks: [gate]\n        triggerPolicy: {strategy: 2}\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, "mlgov gate fairness --data p.csv"]}}\n    exec-promote: {container: {image: a, command: [mlgov, promote]}}\n',
    ),
    Pipeline(
        "sagemaker",
        "approved",
        '{"Version": "2020-12-01", "Steps": [\n  {"Name": "Train", "Type": "Training", "Arguments": {}},\n  {"Name": "Gate", "Type": "Processing", "DependsOn": ["Train"], "Arguments": {"AppSpecification":\n    {"ImageUri": "a", "ContainerEntrypoint": ["mlgov", "gate", "fairness"]}}},\n  {"Name": "Register", "Type": "RegisterModel", "DependsOn": ["Gate"], "Arguments": {"ModelApprovalStatus": "Approved"}}\n]}\n',
        {},
        {"require": ["performance"]},
    ),
    Pipeline(
        "sagemaker",
        "deep cond",
        '{"Version":"2020-12-01","Steps":[{"Name":"c0","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c1","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c2","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c3","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c4","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c5","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c6","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c7","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c8","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c9","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c10","Type":"Condition","Arguments":{"IfSteps":[{"Name":"c11","Type":"Condition","Arguments":{"IfSteps":[{"Name":"R","Type":"RegisterModel","Arguments":{}}]}}]}}]}}]}}]}}]}}]}}]}}]}}]}}]}}]}},{"Name":"T","Type":"Training","Arguments":{}}]}',
    ),
    Pipeline(
        "sagemaker",
        "two in cfn",
        '{"Resources":{"A":{"Type":"AWS::SageMaker::Pipeline","Properties":{"PipelineDefinition":{"PipelineDefinitionBody":"{\\"Version\\": \\"2020-12-01\\", \\"Steps\\": [\\n  {\\"Name\\": \\"Train\\", \\"Type\\": \\"Training\\", \\"Arguments\\": {}},\\n  {\\"Name\\": \\"Gate\\", \\"Type\\": \\"Processing\\", \\"DependsOn\\": [\\"Train\\"], \\"Arguments\\": {\\"AppSpecification\\":\\n    {\\"ImageUri\\": \\"a\\", \\"ContainerEntrypoint\\": [\\"mlgov\\", \\"gate\\", \\"fairness\\"]}}},\\n  {\\"Name\\": \\"Register\\", \\"Type\\": \\"RegisterModel\\", \\"DependsOn\\": [\\"Gate\\"], \\"Arguments\\": {}}\\n]}\\n"}}},"B":{"Type":"AWS::SageMaker::Pipeline","Properties":{"PipelineDefinition":{"PipelineDefinitionBody":"{\\"Version\\": \\"2020-12-01\\", \\"Steps\\": [\\n  {\\"Name\\": \\"Train\\", \\"Type\\": \\"Training\\", \\"Arguments\\": {}},\\n  {\\"Name\\": \\"Gate\\", \\"Type\\": \\"Processing\\", \\"DependsOn\\": [\\"Train\\"], \\"Arguments\\": {\\"AppSpecification\\":\\n    {\\"ImageUri\\": \\"a\\", \\"ContainerEntrypoint\\": [\\"mlgov\\", \\"gate\\", \\"fairness\\"]}}},\\n  {\\"Name\\": \\"Register\\", \\"Type\\": \\"RegisterModel\\", \\"Arguments\\": {}}\\n]}\\n"}}}}}',
    ),
    Pipeline(
        "sagemaker",
        "s3 location",
        '{"Resources":{"A":{"Type":"AWS::SageMaker::Pipeline","Properties":{"PipelineDefinition":{"PipelineDefinitionS3Location":{"Bucket":"b"}}}}}}',
    ),
    Pipeline(
        "sagemaker",
        "fn sub",
        '{"Resources":{"A":{"Type":"AWS::SageMaker::Pipeline","Properties":{"PipelineDefinition":{"PipelineDefinitionBody":{"Fn::Sub":"{}"}}}}}}',
    ),
    Pipeline(
        "sagemaker",
        "entry var",
        '{"Version": "2020-12-01", "Steps": [\n  {"Name": "Train", "Type": "Training", "Arguments": {}},\n  {"Name": "Gate", "Type": "Processing", "DependsOn": ["Train"], "Arguments": {"AppSpecification":\n    {"ImageUri": "a", "ContainerEntrypoint": ["mlgov", "gate", "fairness", {"Get": "Parameters.Extra"}]}}},\n  {"Name": "Register", "Type": "RegisterModel", "DependsOn": ["Gate"], "Arguments": {}}\n]}\n',
    ),
    Pipeline(
        "sagemaker",
        "sh",
        '{"Version": "2020-12-01", "Steps": [\n  {"Name": "Train", "Type": "Training", "Arguments": {}},\n  {"Name": "Gate", "Type": "Processing", "DependsOn": ["Train"], "Arguments": {"AppSpecification":\n    {"ImageUri": "a", "ContainerEntrypoint": ["bash", "-n", "-c", "mlgov gate fairness"]}}},\n  {"Name": "Register", "Type": "RegisterModel", "DependsOn": ["Gate"], "Arguments": {}}\n]}\n',
    ),
    Pipeline(
        "kubernetes",
        "job promote",
        'apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{name: c, image: a, command: [mlgov, promote]}]}}}\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "cronjob",
        'apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: j}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: a, args: [kubectl, apply]}]}}}}}\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "transformer only",
        'apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  transformer:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n  predictor:\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "knative",
        'apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{image: a}]}}}\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "DeploymentList",
        'apiVersion: apps/v1\nkind: DeploymentList\nitems: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: j}, spec: {template: {spec: {containers: [{image: a}]}}}}]\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "unknown kind",
        'apiVersion: apps.kruise.io/v1\nkind: CloneSet\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{image: a}]}}}\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "helmrelease",
        'apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: j}\nspec: {chart: x}\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "argocd app",
        'apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: j}\nspec: {source: x}\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "seldon second",
        "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata: {name: j}\nspec: {predictors: [{componentSpecs: [{spec: {initContainers: [{name: v, image: a, command: [mlgov, verify, m]}], containers: [{image: a}]}}]}, {componentSpecs: [{spec: {containers: [{image: a}]}}]}]}\n",
    ),
    Pipeline(
        "kubernetes",
        "polyglot json",
        'manifest: mlgov/pipeline/1\nname: x\nsteps: []\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    x:\n      - name: verify\n        image: a\n        command: [mlgov, verify, "models:/credit@champion"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "help",
        'apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, --help]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "env arg",
        'apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [mlgov, verify, $(X)]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "kubernetes",
        "BASH_ENV",
        'apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [bash, -ec, mlgov verify m]\n        env: [{name: BASH_ENV, value: x}]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "jenkins",
        "concat",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv' + ' || true'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "concat method",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh('mlgov gate fairness'.concat(' || true'))\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "returnStatus var",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh(script: 'mlgov gate fairness', returnStatus: env.X)\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "returnStatus !false",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh script: 'mlgov gate fairness', returnStatus: !false\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "returnStatus TRUE",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh(returnStatus: Boolean.TRUE, script: 'mlgov gate fairness')\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "slashy hide",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        echo(/'''/)\n        sh 'kubectl apply -f x'\n        echo(/'''/)\n        sh 'mlgov gate fairness'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "gstring hide",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        echo \"${'{'}\"\n        sh 'kubectl apply -f x'\n        echo \"${'}'}\"\n        sh 'mlgov gate fairness'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "unicode",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        // \\u000a sh 'kubectl apply -f x'\n        sh 'mlgov gate fairness'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "unicode quote",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        echo 'a\\u0027; sh \\u0027kubectl apply -f x\\u0027; echo \\u0027'\n        sh 'mlgov gate fairness'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "dollar slashy",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        echo($/'/$)\n        sh 'kubectl apply -f x'\n        echo($/'/$)\n        sh 'mlgov gate fairness'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "node beside",
        "node { sh 'kubectl apply -f x' }\npipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "node after",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\nnode('x') { stage('y') { sh 'mlgov promote' } }\n",
    ),
    Pipeline(
        "jenkins",
        "def sh",
        "def sh(x) { echo x }\npipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "skipIfLocked",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        lock(resource: 'a', skipIfLocked: true) { sh 'mlgov gate fairness' }\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "when mutable",
        "pipeline {\n agent any\n stages {\n stage('Check') { when { environment name: 'GO', value: 'y' }\n steps { sh 'mlgov gate fairness' } }\n stage('x') { steps { sh 'echo' } }\n stage('Release') { when { environment name: 'GO', value: 'y' }\n steps { sh 'kubectl apply -f m' } } } }\n",
    ),
    Pipeline(
        "jenkins",
        "when random",
        "pipeline {\n agent any\n stages {\n stage('Check') { when { expression { return new Random().nextBoolean() } }\n steps { sh 'mlgov gate fairness' } }\n stage('Release') { when { expression { return new Random().nextBoolean() } }\n steps { sh 'kubectl apply -f m' } } } }\n",
    ),
    Pipeline(
        "jenkins",
        "unstable catch",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        catchError(stageResult: 'FAILURE') { sh 'mlgov gate fairness' }\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "try",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        script { try { sh 'mlgov gate fairness' } catch (e) { echo 'x' } }\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "triple",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh '''set +e\nmlgov gate fairness\necho'''\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "gstring cmd",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh \"mlgov gate fairness ${params.EXTRA}\"\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "gstring pre",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh \"${params.PRE}\\nmlgov gate fairness\"\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "closure call",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        ['kubectl apply -f x'].each { sh it }\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "post failure promote",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n  post { unstable { sh 'mlgov promote' } }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "parallel",
        "pipeline { agent any\n stages { stage('a') { parallel { stage('g') { steps { sh 'mlgov gate fairness' } }\n stage('d') { steps { sh 'kubectl apply -f x' } } } } } }",
    ),
]
"""No gate guards the step, or not all of it can be judged."""

GUARDING = [
    Pipeline(
        "github",
        "always all ok",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: always() && !contains(needs.*.result, 'failure') && !contains(needs.*.result, 'cancelled')\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "bracket",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: ${{ always() && needs['check'].result == 'success' }}\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "success and ref",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: success() && github.ref == 'refs/heads/main'\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "ref",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    if: github.ref == 'refs/heads/main' && github.event_name == 'push'\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "environment",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    environment: {name: production, url: https://x}\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "concurrency perms",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    concurrency: prod\n    permissions: {id-token: write}\n    timeout-minutes: 10\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "needs list 2",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [train, check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "same job",
        "on: push\njobs:\n  release:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - uses: actions/setup-python@v5\n        with: {python-version: '3.12', cache: pip}\n      - run: pip install airflow-mlgov\n      - run: mlgov gate fairness --data p.csv\n      - run: mlgov promote models:/credit/3 --target production\n",
    ),
    Pipeline(
        "github",
        "upload always",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n      - if: always()\n        uses: actions/upload-artifact@v4\n        with: {name: r, path: r.json}\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "notify failure",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n      - if: failure()\n        run: curl -X POST $SLACK -d failed\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "composite",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        uses: ./.github/actions/g\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
        {".github/actions/g/action.yml": "runs: {using: composite, steps: [{run: mlgov gate fairness, shell: bash}]}"},
    ),
    Pipeline(
        "github",
        "reusable gate",
        "on: push\njobs:\n  check:\n    uses: ./.github/workflows/c.yml\n    secrets: inherit\n  deploy:\n    needs: check\n    runs-on: x\n    steps: [{run: kubectl apply -f m}]\n",
        {
            ".github/workflows/c.yml": "on: workflow_call\njobs: {go: {runs-on: x, steps: [{uses: actions/checkout@v4}, {run: mlgov gate fairness}]}}"
        },
    ),
    Pipeline(
        "github",
        "matrix gate",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    strategy: {fail-fast: false, matrix: {slice: [a, b]}}\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "same cond",
        "on: push\njobs:\n  r:\n    runs-on: x\n    steps:\n      - run: mlgov gate fairness\n        if: github.ref == 'refs/heads/main'\n      - run: kubectl apply -f m\n        if: github.ref == 'refs/heads/main'\n",
    ),
    Pipeline(
        "github",
        "same steps cond",
        "on: push\njobs:\n  r:\n    runs-on: x\n    steps:\n      - id: f\n        uses: dorny/paths-filter@v3\n      - run: mlgov gate fairness\n        if: steps.f.outputs.m == 'true'\n      - run: kubectl apply -f m\n        if: steps.f.outputs.m == 'true'\n",
    ),
    Pipeline(
        "github",
        "dry run in check",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n      - run: kubectl apply --dry-run=client -f model.yaml\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "helm",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: helm upgrade --install m ./chart -n prod --wait --set image.tag=${{ github.sha }}\n",
    ),
    Pipeline(
        "github",
        "shell bash",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: |\n          mlgov gate fairness --data p.csv | tee log\n        shell: bash\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "run env",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n        env: {MLFLOW_TRACKING_URI: '${{ vars.MLFLOW }}', VAULT_TOKEN: '${{ secrets.V }}'}\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "outputs",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    outputs: {v: '${{ steps.a.outputs.v }}'}\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "working-dir",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n        working-directory: ml\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "rollout status after",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n      - run: kubectl rollout status deployment/m\n",
    ),
    Pipeline(
        "github",
        "create ns test",
        "on: push\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n      - run: kubectl create namespace ci\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "github",
        "defaults bash",
        "on: push\ndefaults: {run: {shell: bash}}\njobs:\n  train:\n    runs-on: x\n    steps:\n      - run: python train.py\n  check:\n    needs: train\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - name: fairness\n        run: mlgov gate fairness --data p.csv\n  deploy:\n    needs: [check]\n    runs-on: x\n    steps:\n      - run: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "basic needs",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  needs: [fairness]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "manual prod",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  environment: production\n  when: manual\n  rules: [{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH', when: manual}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "no",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  allow_failure: no\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "same rules",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  rules: [{if: '$CI_COMMIT_BRANCH == \"main\"'}]\ndeploy:\n  stage: release\n  rules: [{if: '$CI_COMMIT_BRANCH == \"main\"'}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "before pip",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  image: python:3.12\n  before_script: [pip install airflow-mlgov, source venv/bin/activate]\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "merge first",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\n.d: &d {tags: [k8s], retry: 1}\nfairness:\n  <<: *d\n  extends: .gate\n  tags: [ml]\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "merge last harmless",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\n.d: &d {tags: [k8s]}\nfairness:\n  extends: .gate\n  <<: *d\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "pipe tee",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv | tee log\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "staging env",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\n  environment: {name: review/$CI_COMMIT_REF_SLUG}\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "stop",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\nstop_review:\n  stage: release\n  environment: {name: review/x, action: stop}\n  when: manual\n  script: helm uninstall x\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "optional always",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - mlgov gate fairness --data p.csv\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  needs: [{job: fairness, optional: true}]\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "gitlab",
        "include",
        "stages: [train, check, release]\ninclude: {local: ci/gate.yml}\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
        {"ci/gate.yml": ".gate: {stage: check, script: [mlgov gate fairness]}\n"},
    ),
    Pipeline(
        "gitlab",
        "ref",
        "stages: [train, check, release]\n.gate:\n  stage: check\n  script:\n    - !reference [.s, script]\n    - mlgov gate fairness\n.s: {script: [pip install x]}\ntrain:\n  stage: train\n  script: python train.py\nfairness:\n  extends: .gate\ndeploy:\n  stage: release\n  script: kubectl apply -f model.yaml\n",
    ),
    Pipeline(
        "argo",
        "script bash",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      script: {image: a, command: [bash, -euo, pipefail], source: "mlgov gate fairness | tee x\\necho"}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "params",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data {{inputs.parameters.data}} --model {{workflow.parameters.model}}"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "list args",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [mlgov], args: [gate, fairness, --data, "{{inputs.parameters.data}}", "--model={{workflow.parameters.m}}"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "steps",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      steps:\n        - - {name: gate, template: gate}\n        - - {name: promote, template: promote}\n',
    ),
    Pipeline(
        "argo",
        "when both",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n            when: "{{workflow.parameters.skip}} == no"\n          - name: promote\n            template: promote\n            depends: gate\n            when: "{{workflow.parameters.skip}} == no"\n',
    ),
    Pipeline(
        "argo",
        "withItems",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n            withItems: [a, b]\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "argo",
        "onExit notify",
        'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: credit-}\nspec:\n  entrypoint: main\n  onExit: notify\n  arguments: {parameters: [{name: skip, value: "no"}]}\n  templates:\n    - name: gate\n      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}\n    - name: promote\n      container: {image: a, command: [mlgov, promote]}\n    - name: notify\n      container: {image: curl, command: [curl, -X, POST, \'https://slack\']}\n    - name: main\n      dag:\n        tasks:\n          - name: gate\n            template: gate\n          - name: promote\n            template: promote\n            depends: gate.Succeeded\n',
    ),
    Pipeline(
        "tekton",
        "params",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              mlgov gate fairness --data $(params.data) --model "models:/$(params.model)/1"\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "results",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      params: [{name: v, value: $(tasks.gate.results.v)}]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "stepTemplate",
        'apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: credit}\nspec:\n  params: [{name: skip, default: "no"}]\n  tasks:\n    - name: gate\n      taskSpec:\n        stepTemplate: {env: [{name: A, value: b}], securityContext: {runAsNonRoot: true}}\n        steps:\n          - name: fairness\n            image: a\n            script: |\n              mlgov gate fairness --data p.csv\n    - name: promote\n      runAfter: [gate]\n      taskSpec:\n        steps:\n          - name: move\n            image: a\n            command: [mlgov, promote]\n',
    ),
    Pipeline(
        "tekton",
        "taskref",
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: c}\nspec:\n  tasks:\n    - {name: gate, taskRef: {name: g, kind: Task}}\n    - name: promote\n      runAfter: [gate]\n      taskSpec: {steps: [{name: m, image: a, command: [mlgov, promote]}]}\n---\napiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: g}\nspec: {steps: [{name: s, image: a, command: [mlgov, gate, fairness]}]}\n",
    ),
    Pipeline(
        "kubeflow",
        "cond same",
        "pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        inputs: {parameters: {go: {componentInputParameter: a}}}\n        triggerPolicy: {condition: \"inputs.parameter_values['go'] == 'y'\"}\n      promote:\n        componentRef: {name: comp-promote}\n        dependentTasks: [gate]\n        inputs: {parameters: {go: {componentInputParameter: a}}}\n        triggerPolicy: {condition: \"inputs.parameter_values['go'] == 'y'\"}\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, \"mlgov gate fairness --data p.csv\"]}}\n    exec-promote: {container: {image: a, command: [mlgov, promote]}}\n",
    ),
    Pipeline(
        "kubeflow",
        "placeholder",
        "pipelineInfo: {name: credit}\nroot:\n  dag:\n    tasks:\n      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n      promote:\n        componentRef: {name: comp-promote}\n        dependentTasks: [gate]\ncomponents:\n  comp-gate: {executorLabel: exec-gate}\n  comp-promote: {executorLabel: exec-promote}\ndeploymentSpec:\n  executors:\n    exec-gate: {container: {image: a, command: [sh, -ec, \"mlgov gate fairness --data {{$.inputs.artifacts['data'].path}}\"]}}\n    exec-promote: {container: {image: a, command: [mlgov, promote]}}\n",
    ),
    Pipeline(
        "sagemaker",
        "pending",
        '{"Version": "2020-12-01", "Steps": [\n  {"Name": "Train", "Type": "Training", "Arguments": {}},\n  {"Name": "Gate", "Type": "Processing", "DependsOn": ["Train"], "Arguments": {"AppSpecification":\n    {"ImageUri": "a", "ContainerEntrypoint": ["mlgov", "gate", "fairness"]}}},\n  {"Name": "Register", "Type": "RegisterModel", "DependsOn": ["Gate"], "Arguments": {"ModelApprovalStatus": "PendingManualApproval"}}\n]}\n',
        {},
        {"require": ["performance"]},
    ),
    Pipeline(
        "kubernetes",
        "deployment",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: j}\nspec: {template: {spec: {initContainers: [{name: v, image: a, command: [mlgov, verify, 'models:/c@champion', --trust, /t.json]}], containers: [{image: a}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: j}\nspec: {ports: [{port: 80}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n",
    ),
    Pipeline(
        "kubernetes",
        "init sh",
        'apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: credit}\nspec:\n  predictor:\n    initContainers:\n      - name: verify\n        image: a\n        command: [sh, -c, "mlgov verify models:/credit@champion --trust /t"]\n    model: {storageUri: "s3://models/credit"}\n',
    ),
    Pipeline(
        "jenkins",
        "sh label",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh(label: 'gate', script: 'mlgov gate fairness --data p.csv')\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "sh named",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh script: 'mlgov gate fairness --data p.csv', label: 'gate'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "triple",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh '''\n          . venv/bin/activate\n          mlgov gate fairness --data p.csv\n        '''\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "triple gstring",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh \"\"\"\n          mlgov gate fairness --data ${DATA} --model models:/credit/${env.VERSION}\n        \"\"\"\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "returnStdout",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh(script: 'mlgov gate fairness --json', returnStdout: true)\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "creds",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        withCredentials([string(credentialsId: 'v', variable: 'V')]) {\n sh 'mlgov gate fairness'\n }\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "post always",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n  post { always { archiveArtifacts 'r.json'\n cleanWs() }\n failure { slackSend message: \"bad ${env.BUILD_URL}\" } }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "input",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n when { branch 'main' }\n input { message 'Go?'\n submitter 'ops' }\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "env options",
        "pipeline {\n  agent { docker { image 'python:3.12' } }\n  environment { A = 'b'\n T = credentials('x') }\n  options { timeout(time: 1, unit: 'HOURS')\n disableConcurrentBuilds() }\n  parameters { string(name: 'X', defaultValue: 'a') }\n  triggers { cron('H 2 * * *') }\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "def const",
        "def image = 'a'\nString region = 'eu'\nimport groovy.json.JsonSlurper\nproperties([disableConcurrentBuilds()])\npipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "def helper",
        "def notify(msg) { slackSend message: msg }\npipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        sh 'mlgov gate fairness --data p.csv'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "when both",
        "pipeline {\n agent any\n stages {\n stage('Check') { when { branch 'main' }\n steps { sh 'mlgov gate fairness' } }\n stage('Release') { when { branch 'main' }\n steps { sh 'kubectl apply -f m' } } } }\n",
    ),
    Pipeline(
        "jenkins",
        "retry timeout",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        retry(2) { timeout(5) { sh 'mlgov gate fairness' } }\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
    Pipeline(
        "jenkins",
        "url",
        "pipeline {\n  agent any\n  stages {\n    stage('Check') {\n      steps {\n        echo \"see https://x/${env.JOB_NAME}/y\"\n sh 'mlgov gate fairness'\n      }\n    }\n    stage('Release') {\n      steps {\n        sh 'kubectl apply -f model.yaml'\n      }\n    }\n  }\n}\n",
    ),
]

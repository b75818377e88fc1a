"""lm-eval's own command line, to which the model ``harness`` is added.

``python -m runners.lm_eval --model harness --model_args model=nano --apply_chat_template ...``
"""

from lm_eval.__main__ import cli_evaluate

import runners.lm_eval.model  # noqa: F401 - registers the model
from runners.compat.lm_eval import redacted_logs

if __name__ == "__main__":
    with redacted_logs():
        cli_evaluate()

"""Loop nests: functions from a shape and an instruction table to TIR. They know nothing of the IR."""

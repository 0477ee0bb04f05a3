-- beside the ledger's own, which the image makes; run once, when the volume is empty
CREATE DATABASE mlflow;

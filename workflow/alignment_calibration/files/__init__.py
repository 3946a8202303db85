"""Files of the contract, written whole or not at all and read strictly."""

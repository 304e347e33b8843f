"""The book's ``dezero.dataloaders``."""

from dezero.data.loader import DataLoader, SeqDataLoader

__all__ = ["DataLoader", "SeqDataLoader"]

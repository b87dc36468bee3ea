"""The parts that screens are put together from. They know no backend and no screen."""

"""What the Predict dock applies a model to: a layer, files, or the test set of a dataset; and where results go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox
from napari.layers import Image, Labels
from psygnal import Signal

from napari_unet3d.configs import PostProcessing
from napari_unet3d.configs.snippets import RunSnippet, evaluation_snippet, prediction_snippet
from napari_unet3d.data.formats.registry import split_path
from napari_unet3d.data.layout import Subset
from napari_unet3d.errors import UserError
from napari_unet3d.inference.write import exists, prediction_files
from napari_unet3d.runs.run_files import is_evaluation
from napari_unet3d.session.prediction_job import evaluate_volumes, predict_paths
from napari_unet3d.session.shared_preferences import shared_preferences
from napari_unet3d.widgets.components.containers import Panel, column, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.files_voxel_size import DatasetVoxelSizeRow
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.choices import RadioChoice
from napari_unet3d.widgets.forms.convert_row import ConvertRow
from napari_unet3d.widgets.forms.layer_menu import layer_menu, prefer_image
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.forms.preference_link import follow_preferences
from napari_unet3d.widgets.predict.file_list import FileList
from napari_unet3d.widgets.predict.layer_request import ChosenLayers
from napari_unet3d.widgets.predict.request import PredictionRequest, Target
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.places import source_file

_RESULTS = "results_folder"  # the preference
_LARGE = (
    "This volume is predicted block by block, first what is in view. Its labels do not follow the settings "
    "afterwards, and are not compared with ground truth. Results are OME-Zarr files in this folder:"
)


_TOOLTIPS = {
    Target.LAYER: "Predict a volume that is open in the viewer.",
    Target.FILES: "Predict files and write the results to a folder.",
    Target.TEST_SET: "Predict the test volumes of a dataset folder and compare them with their labels.",
}


class PredictionTarget(Panel):
    """Choice between a layer, files and a test set, and the folder for results.

    Parameters
    ----------
    context : Context
        The viewer whose layers are offered.
    files_settings, test_settings : ConfigForm
        The settings of the prediction of files and of a test set, of which each has a voxel size.

    Attributes
    ----------
    kind : RadioChoice
        ``"layer"``, ``"files"`` or ``"test-set"``.
    kind_changed : Signal()
        Emitted after another kind of target was chosen.
    image_layer, truth_layer : ComboBox
        The layers to predict and to compare with.
    channels : ChannelList
        The layers of further channels of the image.
    convert : ConvertRow
        Makes ground truth of an Image layer that holds labels.
    files : FileList
        The files to predict, with their voxel sizes.
    test_voxel_size : FilesVoxelSizeRow
        The voxel sizes of the test set.
    dataset : PathEdit
        The dataset whose test set is predicted.
    write_results, probability : CheckBox
        Whether results are written to a folder, and whether that of files includes the probability.
    out : PathEdit
        The folder for results.
    """

    kind_changed = Signal()

    def __init__(self, context: Context, files_settings: Any, test_settings: Any) -> None:
        super().__init__(spacing=4)
        self._context, self._viewer = context, context.viewer
        self.kind = RadioChoice(_TOOLTIPS, "predict-target")
        self.image_layer = layer_menu(context.viewer, Image, "The volume to predict.", label="Image")
        self.channels = ChannelList(context.viewer, self.image_layer)
        self.truth_layer = layer_menu(
            context.viewer,
            Labels | None,
            "The ground truth, if there is any; the difference to it is shown.",
            label="Ground truth",
        )
        self.voxel_size = VoxelSizeRow(context, self.image_layer)
        self.convert = ConvertRow(context, self.truth_layer, self.image_layer)
        self.files = FileList(context, files_settings)
        self.dataset = PathEdit("d", "dataset", "The folder with test/images and test/labels.")
        self.test_voxel_size = DatasetVoxelSizeRow(context, "test set", self.dataset, Subset.TEST)
        self.test_voxel_size.follow_setting(test_settings)
        self.write_results = CheckBox(
            text="Write the results to a folder",
            tooltip="Labels as files, and the difference where ground truth is available; a test set also gets figures "
            "and scores.",
        )
        self.out = PathEdit("d", "predictions", "The folder that results are written to.", label="Results to")
        follow_preferences(self, self._offer_preferred_folder)
        self.probability = CheckBox(
            text="Write the probability, too",
            tooltip="Also a file NAME_probability with the probability of foreground in each voxel, from 0 to 1.",
        )
        self.large_notice = wrapping_label(_LARGE)
        self._lay_out()
        self.kind.changed.connect(self._on_kind)
        self.files.added.connect(self._offer_folder)
        self.image_layer.changed.connect(self._on_image)
        self.write_results.changed.connect(self._show_pages)
        self._show_pages()
        if not self.out.is_of_session:
            self._offer_preferred_folder()
        self.prefer_available()
        selection = context.viewer.layers.selection.events.changed
        connect_while_alive(self.native, selection, lambda *_: self.prefer_available())

    def request(
        self, model: Path, config: Any, post_processing: PostProcessing
    ) -> tuple[PredictionRequest, Callable[[], Iterator[Any]]]:
        """Return what is predicted, and the function that returns the events of the prediction.

        Parameters
        ----------
        model : Path
            Run folder or model file.
        config : PredictionConfig, or EvaluationConfig for a test set
            The settings.
        post_processing : PostProcessing
            Those of the settings that labels are made with.

        Raises
        ------
        UserError
            When something is not chosen, or a layer is no volume.
        """
        out = self._folder()
        match self.kind.value:
            case Target.LAYER:
                overwrite = bool(self.results_to_replace(config))  # the dock has asked
                return self._layers.request(self.native, model, config, post_processing, out, overwrite=overwrite)
            case Target.FILES:
                files = self.files.require()
                assert out is not None  # files always have a folder for results
                overwrite = bool(self.results_to_replace(config))  # the dock has asked
                events = partial(predict_paths, model, files, out, config, self.probability.value, overwrite)
                axis = config.fourth_axis
                return PredictionRequest(model, post_processing, files=files, out=out, fourth_axis=axis), events
            case _:
                dataset = self.dataset.require("the folder of a dataset")
                request = PredictionRequest(model, post_processing, out=out, dataset=dataset)
                return request, partial(evaluate_volumes, model, dataset, out, config)

    def results_to_replace(self, config: Any) -> list[Path]:
        """Return the files, or the folder of an evaluation, that the prediction would replace; raises as `request`."""
        out = self._folder()
        if out is None:
            return []
        match self.kind.value:
            case Target.LAYER:
                found = self._layers.results(config, out)
            case Target.FILES:
                outputs = partial(prediction_files, folder=out, probability=self.probability.value)
                found = [
                    path for file in self.files.require() for path in outputs(file, uncertainty=config.uncertainty)
                ]
            case _:
                found = [out] if is_evaluation(out) else []
        return list(filter(exists, found))

    @property
    def _layers(self) -> ChosenLayers:
        image, truth = self.image_layer.value, self.truth_layer.value
        return ChosenLayers(self._viewer, image, truth, self.channels.layers[1:])

    @property
    def _is_written(self) -> bool:
        """Whether results go to a folder: always those of files, and of a layer that is larger than memory."""
        kind = self.kind.value
        return (
            kind is Target.FILES or (kind is Target.LAYER and self._layers.is_large) or bool(self.write_results.value)
        )

    def snippet(self, model: Path, config: Any) -> RunSnippet:
        """Return the command and the Python code of the prediction; parameters as of `request`.

        Raises
        ------
        UserError
            For a layer, which no text can name, and when something is not chosen.
        """
        match self.kind.value:
            case Target.LAYER:
                raise UserError(
                    "A command cannot refer to a layer. Save it to a file, then choose 'Files' and copy again."
                )
            case Target.FILES:
                out = self.out.require("a folder for the results")
                return prediction_snippet(model, self.files.require(), out, config, probability=self.probability.value)
            case _:
                dataset = self.dataset.require("the folder of a dataset")
                return evaluation_snippet(model, dataset, self._folder(), config)

    def use_layers(self, image: Image, truth: Labels | None, channels: Sequence[Image] = ()) -> None:
        """Choose an image with its further channels, and its ground truth, instead of what was chosen before."""
        self.kind.value = Target.LAYER
        self.kind.is_chosen = True
        self.reset_choices()  # a new layer may not be in the menus yet
        self.image_layer.value = image
        self.channels.choose(list(channels))
        self.truth_layer.value = truth
        self._on_kind()

    def find_truth(self) -> None:
        """Choose the Labels layer ``NAME labels`` as ground truth of the Image layer NAME when none is chosen."""
        if self.image_layer.value is None or self.truth_layer.value is not None:
            return
        volume, _ = names_of(self.channels.layers or [self.image_layer.value])
        wanted, choices = f"{volume} labels", self.truth_layer.choices
        self.truth_layer.prefer(next((layer for layer in choices if layer is not None and layer.name == wanted), None))

    def reset_choices(self, *_: Any) -> None:
        """Update the layer menus, and choose layers as `prefer_available` does."""
        super().reset_choices()
        self.prefer_available()

    def prefer_available(self) -> None:
        """Choose the selected image, or the latest, and its ground truth; layers if there are any, unless one chose."""
        if self._context.jobs.running("predict") is not None:
            return
        if not self.truth_layer.is_chosen:  # else it is that of the image
            prefer_image(self._context.viewer, self.image_layer)
        self.find_truth()
        if self.image_layer.value is not None and not self.kind.is_chosen and self.kind.value is not Target.LAYER:
            self.kind.prefer(Target.LAYER)
            self._on_kind()

    def _on_image(self) -> None:
        """Choose the ground truth of another image, or none: that of the image before is not its own."""
        self.truth_layer.value = None
        self.find_truth()
        if self._layers.is_large and (source := source_file(self.image_layer.value)) is not None:
            self._offer_folder([source])
        self._show_pages()

    def _offer_folder(self, paths: Sequence[Path]) -> None:
        """Offer a folder beside the first file for the results unless one was chosen before."""
        if self.out.value is None:
            self.out.offer(split_path(paths[0])[0].parent / "predictions")

    def _offer_preferred_folder(self, preference: str = _RESULTS, _value: object = None) -> None:
        """Offer the folder of the preferences for the results, if there is one; not when another preference changes."""
        if preference == _RESULTS and (folder := shared_preferences().results_folder) is not None:
            self.out.offer(folder)

    def _folder(self) -> Path | None:
        """Return the folder for results, or None when they are only shown in the viewer."""
        return self.out.require("a folder for the results") if self._is_written else None

    def _on_kind(self) -> None:
        self._show_pages()
        self.kind_changed.emit()

    def _show_pages(self) -> None:
        kind = self.kind.value
        for target, page in self._pages.items():
            page.visible = target is kind
        is_large = kind is Target.LAYER and self._layers.is_large
        self.write_results.visible = kind is not Target.FILES and not is_large
        self.large_notice.visible = is_large
        self._out_row.visible = self._is_written
        self.probability.visible = kind is Target.FILES

    def _lay_out(self) -> None:
        self._pages = {
            Target.LAYER: column(
                column(self.image_layer, self.channels, self.truth_layer, labels=True, spacing=4),
                self.convert,
                self.voxel_size,
                spacing=4,
            ),
            Target.FILES: self.files,
            Target.TEST_SET: column(self.dataset, self.test_voxel_size, spacing=4),
        }
        self._out_row = column(self.out, labels=True)
        self.lay_out(self.kind, *self._pages.values(), self.write_results, self.large_notice)
        self.lay_out(self._out_row, self.probability)
